"""Wire formats, one small file each; `choose` tells by a body which one it is."""
