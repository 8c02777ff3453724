"""The study of the curation track: what changed data are worth to the fixed model.

``real``     the images of 2021 with a held-out test set, made from a folder that is not ours to hand on
``edits``    the changes that are compared, as tables of edits
``study``    what is run, as cells of the kit
``cells``    the cells in the form that is committed
``compared`` differences with both kinds of noise: of seeds and of test images
``page``     the part of ``docs/curation.md``
"""
