"""tests.web"""
