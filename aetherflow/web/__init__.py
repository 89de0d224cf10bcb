"""Pages about runs as markup: pure functions from Structs to HTML, one module for each component.

`run_page` composes the page that `aetherflow runs export --html` writes. The components know no file, no
database and no server. Everything that goes into markup is escaped by `markup`.
"""
