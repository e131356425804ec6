"""Wire formats, a small file each. `addresses` lists which address takes which; `choose` tells by a body."""
