"""Networks: any module called as network(x, condition[, label]) that returns a tensor like x."""
