"""The lab: its notebooks as cells, checks of a student's answers, handouts and the page made from them."""
