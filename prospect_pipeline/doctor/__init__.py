"""`prospect doctor`: is every setting and connection as it should be? Nothing is changed.

A module per noun, each with the checks of it; `report` says what a check may answer, `examination`
makes them one by one, and `rounds` says which there are.
"""
