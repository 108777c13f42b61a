"""tests.sync"""
