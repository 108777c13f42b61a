"""tests.catalogue"""
