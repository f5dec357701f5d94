class Notes: pass
def leaf_of(): pass
