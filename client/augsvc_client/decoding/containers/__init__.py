"""The walks over files of each format: bound and strip them before a library decodes them.

jpeg, png, webp  image files; stripped_image is what they have in common
flac, wav        audio files; sound_tags skips tags of other formats around them
"""
