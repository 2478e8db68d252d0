"""Networks: any module called as network(x, condition[, label][, change=…]) that returns a tensor like x."""
