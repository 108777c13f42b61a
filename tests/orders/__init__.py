"""tests.orders"""
