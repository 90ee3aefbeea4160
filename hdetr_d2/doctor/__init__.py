"""`python -m hdetr_d2.doctor`: what is installed, what is built, and whether it computes
correctly.
"""
