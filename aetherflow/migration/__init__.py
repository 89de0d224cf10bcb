"""Read files of AetherFlow 0.0, find what means something else here, and write the file that does the same.

Pure: text in, differences and text out. It may import `spec` and `language`, which say what files mean now.
"""
