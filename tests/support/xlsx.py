"""Prints what a workbook holds as JSON, by the specification and with nothing but Python's own library:
{sheet: [[cell, …], …]}, a cell being null, a number as it stands in the file, or [text]."""
import json
import re
import sys
import xml.etree.ElementTree as xml
import zipfile

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


def text(node):
    whole = "".join(part.text or "" for part in node.iter(MAIN + "t"))
    return re.sub("_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found[1], 16)), whole)


def column(name):
    number = 0
    for letter in re.match("[A-Z]+", name)[0]:
        number = number * 26 + ord(letter) - 64
    return number - 1


book = zipfile.ZipFile(sys.argv[1])
assert book.testzip() is None
targets = {node.get("Id"): node.get("Target") for node in xml.fromstring(book.read("xl/_rels/workbook.xml.rels"))}
shared = []
if "xl/sharedStrings.xml" in book.namelist():
    shared = [text(node) for node in xml.fromstring(book.read("xl/sharedStrings.xml"))]
found = {}
for sheet in xml.fromstring(book.read("xl/workbook.xml")).iter(MAIN + "sheet"):
    rows = []
    for row in xml.fromstring(book.read("xl/" + targets[sheet.get(RELATION)])).iter(MAIN + "row"):
        while len(rows) < int(row.get("r")):
            rows.append([])
        for cell in row.iter(MAIN + "c"):
            assert cell.find(MAIN + "f") is None, "no text is a formula"
            cells = rows[-1]
            while len(cells) <= column(cell.get("r")):
                cells.append(None)
            value, sort = cell.find(MAIN + "v"), cell.get("t")
            if sort == "inlineStr":
                cells[-1] = [text(cell)]
            elif sort == "s":
                cells[-1] = [shared[int(value.text)]]
            elif value is not None:
                assert sort in (None, "n"), sort
                cells[-1] = value.text
    found[sheet.get("name")] = rows
json.dump(found, sys.stdout)
