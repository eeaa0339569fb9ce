"""The demonstration: three small learning tasks on real data, differentiated by `staged_ad`.

Invariant: every derivative is checked against central differences and against NumPy written by hand.
Start reading at `mlp.py`; `report.py` runs all three and prints the table.
"""
