"""Writes every page of the operations, with strips and costs measured again: `python -m tests.pages`."""

from tests.pages.page import write_pages

if __name__ == "__main__":
    write_pages(everything=True)
