#!/usr/bin/env python3
"""Reads archives (.4BK) and logs (.journal, .4BL) of Strongroom without Strongroom.

Written from docs/formats.md and docs/format-log.md, for the day when nobody can build the program any more. Needs
Python 3.8 and the command zstd, nothing else. It is slow: BLAKE3 is computed here, unless a module of that name is there.

    strongroom_reader.py list FILE...                    what an archive or a log holds, from what it says of itself
    strongroom_reader.py prove FILE...                   every byte of it
    strongroom_reader.py extract ARCHIVE DIR             its files, each proven, into a folder that is made
    strongroom_reader.py integrate ARCHIVE DIR LOG...    the same, with the data file led on by these logs, in any order
                                    [--commit NUMBER]    no further than this commit

It repairs nothing: recovery data is read by nobody but Strongroom.
"""
import argparse, datetime, json, os, re, struct, subprocess, sys, tempfile, uuid

MASK32, MASK64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF


class Bad(Exception):
    """A file is not what the formats say."""


def need(condition, what):
    if not condition:
        raise Bad(what)


# --- BLAKE3 ----------------------------------------------------------------------------------------------------------

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
LANES = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
         (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
START, END, PARENT, ROOT = 1, 2, 4, 8


def compress(chain, block, counter, flags):
    m = struct.unpack("<16I", bytes(block).ljust(64, b"\0"))
    v = [*chain, *IV[:4], counter & MASK32, counter >> 32, len(block), flags]
    if flags & PARENT:
        v[14] = 64
    for turn in range(7):
        for n, (a, b, c, d) in enumerate(LANES):
            x, y, z, w = v[a], v[b], v[c], v[d]
            x = (x + y + m[2 * n]) & MASK32
            w ^= x
            w = (w >> 16 | w << 16) & MASK32
            z = (z + w) & MASK32
            y ^= z
            y = (y >> 12 | y << 20) & MASK32
            x = (x + y + m[2 * n + 1]) & MASK32
            w ^= x
            w = (w >> 8 | w << 24) & MASK32
            z = (z + w) & MASK32
            y ^= z
            v[a], v[b], v[c], v[d] = x, (y >> 7 | y << 25) & MASK32, z, w
        m = [m[n] for n in ORDER]
    return [v[n] ^ v[n + 8] for n in range(8)]


def tree(data, first, is_root):
    """The chaining value of what begins with chunk number `first`."""
    root = ROOT if is_root else 0
    if len(data) <= 1024:
        chain, blocks = IV, [data[at:at + 64] for at in range(0, len(data), 64)] or [b""]
        for n, block in enumerate(blocks):
            is_last = n + 1 == len(blocks)
            flags = (START if n == 0 else 0) | (END | root if is_last else 0)
            chain = compress(chain, block, first, flags)
        return chain
    half = 1024
    while half * 2 < len(data):
        half *= 2
    both = tree(data[:half], first, False) + tree(data[half:], first + half // 1024, False)
    return compress(IV, struct.pack("<16I", *both), 0, PARENT | root)


try:
    from blake3 import blake3 as _fast

    def blake3(data):
        return _fast(bytes(data)).digest()
except ImportError:
    def blake3(data):
        return struct.pack("<8I", *tree(memoryview(bytes(data)), 0, True))


def unzstd(frame, prefix=None):
    """Decompresses a zstd frame; `prefix` is what it may refer to."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["zstd", "-d", "-c", "-q", "--long=31", "--no-progress"]
        if prefix is not None:
            with open(os.path.join(folder, "prefix"), "wb") as file:
                file.write(prefix)
            command.append("--patch-from=" + file.name)
        path = os.path.join(folder, "frame.zst")
        with open(path, "wb") as file:
            file.write(frame)
        done = subprocess.run(command + [path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        need(done.returncode == 0, "zstd: " + done.stderr.decode(errors="replace").strip())
        return done.stdout


# --- archives --------------------------------------------------------------------------------------------------------

class Archive:
    """An archive in one file, or in segments that lie in one folder; HEAD, INDX and TAIL are proven."""

    def __init__(self, path):
        self.path, self.parts, at = path, [], 0
        named = re.fullmatch(r"(.*\[\d{4,})-\d{4}(\]\.4BK)", path)
        paths = [path]
        if named:
            folder, begin = os.path.split(named.group(1))
            like = re.compile(re.escape(begin) + r"-\d{4}" + re.escape(named.group(2)))
            paths = sorted(os.path.join(folder, name) for name in os.listdir(folder or ".") if like.fullmatch(name))
        for part in paths:
            size = os.path.getsize(part)
            self.parts.append((at, size, part))
            at += size
        self.length = at
        self.head, head_sum = self.read_head(0)
        self.begin = 56 + struct.unpack("<I", self.read(20, 4))[0]
        self.read_tail()
        self.read_index(head_sum)

    def read(self, at, count):
        out = b""
        for begin, size, path in self.parts:
            if begin <= at + len(out) < begin + size and len(out) < count:
                with open(path, "rb") as file:
                    file.seek(at + len(out) - begin)
                    out += file.read(min(count - len(out), begin + size - at - len(out)))
        need(len(out) == count, f"{self.path} ends too early")
        return out

    def frame(self, at, tag):
        """The payload of a skippable frame, without its checksum, which is proven, and that."""
        magic, length = struct.unpack("<II", self.read(at, 8))
        need(magic == 0x184D2A54 and 40 <= length <= 1 << 30, f"no frame at {at}")
        payload = self.read(at + 8, length)
        need(payload[:8] == tag and blake3(payload[:-32]) == payload[-32:], f"{tag.decode()} at {at} is damaged")
        return payload[:-32], payload[-32:]

    def read_head(self, at):
        self.version = struct.unpack("<H", self.read(at + 16, 2))[0]
        need(1 <= self.version <= 3, f"version {self.version} of the archive is not known here")
        payload, checksum = self.frame(at, b"SR4BHEAD")
        return json.loads(payload[16:16 + struct.unpack("<I", payload[12:16])[0]]), checksum

    def read_tail(self):
        payload, _ = self.frame(self.length - 112, b"SR4BTAIL")
        self.index_at, length, self.tar_length = struct.unpack("<QQQ", payload[16:40])
        self.whole = payload[40:72]
        need(length == self.length, f"{self.path} was cut off, or segments are missing")

    def read_index(self, head_sum):
        payload, index_sum = self.frame(self.index_at, b"SR4BINDX")
        count, length = struct.unpack("<II", payload[8:16])
        self.frames, tar_at, entry = [], 0, 16
        for _ in range(count):
            # Since version 3 an entry says how long it is: a later one may be longer.
            size = 48
            if self.version >= 3:
                size, entry = struct.unpack("<H", payload[entry:entry + 2])[0], entry + 2
            need(48 <= size <= len(payload) - entry, "an entry of the index is too short or too long")
            at, stored, plain, checksum = struct.unpack("<QII32s", payload[entry:entry + 48])
            self.frames.append((at, stored, plain, checksum, tar_at))
            tar_at, entry = tar_at + plain, entry + size
        self.items = json.loads(payload[entry:entry + length])
        need(tar_at == self.tar_length, "the frames do not make up the tar stream")
        sums = b"".join(frame[3] for frame in self.frames)
        need(blake3(head_sum + sums + index_sum) == self.whole, "the checksum of the whole differs")
        names = [item["name"] for item in self.items]
        need(len(set(names)) == len(names), "a name occurs twice")
        for name in names:
            lawful = all(part not in ("", ".", "..") for part in name.split("/"))
            need(lawful and not re.search(r"[\\\x00-\x1f\x7f]", name), f"the name {name!r} is refused")

    def plain(self, frame):
        at, stored, length, checksum, _ = frame
        bytes_ = self.read(at, stored)
        need(blake3(bytes_) == checksum, f"the frame at {at} is damaged")
        plain = unzstd(bytes_)
        need(len(plain) == length, f"the frame at {at} has another length")
        return plain

    def pieces(self):
        """Every item with its content, each proven; the frames are read once, in order."""
        held, index = b"", 0
        held_at = 0
        for item in self.items:
            begin, end = item["offset"], item["offset"] + item["length"]
            while held_at + len(held) < end:
                need(index < len(self.frames), f"{item['name']} lies beyond the tar stream")
                keep = max(0, min(begin - held_at, len(held)))
                held, held_at = held[keep:] + self.plain(self.frames[index]), held_at + keep
                index += 1
            content = held[begin - held_at:end - held_at]
            need(blake3(content).hex() == item["blake3"], f"{item['name']} is not what was archived")
            yield item, content


def describe_archive(archive):
    head = archive.head
    print(f"{archive.path}: full backup {head['number']} of {head['data_file_name']}, {head['moment']}")
    for key in ("data_file_id", "archive_id", "page_size", "page_count", "program"):
        print(f"  {key}: {head[key]}")
    position = head.get("log_position")
    if position:
        print(f"  log_position: commit {position['commit']}, chain {position['chain']}")
    for item in archive.items:
        print(f"  {item['length']:>12}  {item['kind']:<10}  {item['name']}")


def extract(archive, folder, change=None):
    """Writes the files; `change` makes another content of the data file."""
    os.makedirs(folder)
    links = []
    for item, content in archive.pieces():
        path = os.path.join(folder, *item["name"].split("/"))
        if item["kind"] == "folder":
            os.makedirs(path, exist_ok=True)
            continue
        if item["kind"] == "link":
            links.append((item["target"], path))
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if item["kind"] == "data-file" and change:
            content = change(content)
        with open(path, "xb") as file:
            file.write(content)
        os.chmod(path, item["mode"] & (0o777 if item["kind"] == "program" else 0o666))
    inside = os.path.realpath(folder)
    for target, path in links:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        leads = os.path.realpath(os.path.join(os.path.dirname(path), target))
        if leads == inside or leads.startswith(inside + os.sep):
            os.symlink(target, path)
        else:
            print(f"the link {path} is left out: it leads to {target}", file=sys.stderr)


# --- logs ------------------------------------------------------------------------------------------------------------

class Bytes:
    """Bytes that are taken from the beginning."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        need(0 <= count <= len(self.data) - self.at, "something ends too early")
        self.at += count
        return bytes(self.data[self.at - count:self.at])

    def is_empty(self):
        return self.at == len(self.data)

    def number(self):
        number = 0
        for shift in range(0, 64, 7):
            byte = self.take(1)[0]
            need(shift < 63 or byte < 2, "a number is too long")
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
        raise Bad("a number is too long")

    def difference(self):
        number = self.number()
        return number >> 1 if number & 1 == 0 else -(number >> 1) - 1


class Record:
    def __init__(self, kind, commit, wall, pages):
        self.kind, self.commit, self.wall, self.pages = kind, commit, wall, pages
        self.entries, self.state, self.chain = [], None, None


class Log:
    """A log; `records` yields what is valid of it, `end` tells then why there is no more."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            self.data = file.read()
        head = self.data[:192]
        need(head[:8] == b"\x894BL\r\n\x1a\n", f"{path} is no log")
        self.version, self.page_size = struct.unpack("<II", head[8:16])
        need(1 <= self.version <= 2, f"version {self.version} of the log is not known here")
        need(len(head) == 192 and blake3(head[:160]) == head[160:], f"the header of {path} is damaged")
        self.identity = uuid.UUID(bytes=head[16:32])
        self.archive, flags, self.commit = struct.unpack("<IIQ", head[32:48])
        need(self.version == 1 or flags & ~1 == 0, f"{path} needs what is not known here")
        size = self.page_size
        need(size & (size - 1) == 0 and 512 <= size <= 65536, f"{path} has pages of {size} bytes")
        self.rooted, self.base = bool(flags & 1), head[48:80]
        self.created, self.pages = struct.unpack("<qI", head[80:92])
        self.epoch, known = struct.unpack("<II", head[132:140])
        self.state = struct.unpack("<Q", head[144:152])[0] if self.version > 1 and known & 1 else None
        self.link = blake3(self.base + head) if self.version > 1 else self.base
        self.blank, self.end, self.index = [], None, None

    def records(self):
        return self.records_of_2() if self.version == 2 else self.records_of_1()

    def block(self, at, before):
        """Type, payload and chain value of the block of version 2 at `at`, if it continues `before`."""
        head = self.data[at:at + 40]
        if len(head) < 40 or head[:4] != b"4BLr":
            return None
        word = struct.unpack("<I", head[4:8])[0]
        kind, payload = word >> 24, self.data[at + 40:at + 40 + (word & 0xFFFFFF)]
        if len(payload) != word & 0xFFFFFF or len(payload) > 1 << 20 or not (1 <= kind <= 4 or kind >= 128):
            return None
        chain = before
        if kind == 1:
            rest = Bytes(payload)
            try:
                while not rest.is_empty():
                    chain = blake3(chain + rest.take(rest.number()))
            except Bad:
                return None
        else:
            chain = blake3(before + head[:8] + payload)
        return (kind, payload, chain) if chain == head[8:40] else None

    def records_of_2(self):
        at, link, last, parts, first_at = 192, self.link, (self.commit, self.created, self.pages), [], None
        while True:
            found = self.block(at, link)
            if found is None:
                break
            kind, payload, chain = found
            begins, at = at, at + 40 + len(payload)
            if kind in (160, 161) and not parts:
                self.index = begins if self.index is None else self.index
            elif kind >= 128:
                pass
            elif kind == 4:
                need(begins == 192, "a block of blank pages in the middle")
                rest, page = Bytes(payload), 1
                while not rest.is_empty():
                    first = page + rest.number()
                    page = first + rest.number()
                    self.blank.append((first, page - 1))
                link = chain
            elif kind == 1:
                need(not parts, "records within a record")
                rest = Bytes(payload)
                while not rest.is_empty():
                    bytes_ = rest.take(rest.number())
                    link = blake3(link + bytes_)
                    record = self.record([bytes_], last)
                    record.chain, last = link, (record.commit, record.wall, record.pages)
                    yield record
            else:
                first_at = begins if not parts else first_at
                parts.append(payload)
                link = chain
                if kind == 3:
                    record = self.record(parts, last)
                    record.chain, last, parts = link, (record.commit, record.wall, record.pages), []
                    yield record
        self.end = self.why(first_at if parts else at, at, link)

    def why(self, offset, at, link):
        """Why there are no records after `offset`; up to `at` the chain goes on."""
        if self.index is not None and at == len(self.data):
            return "whole"
        if offset == len(self.data):
            return "whole"
        last = self.data[-144:]
        is_end = last[:8] == b"4BLr" + struct.pack("<I", 104 | 161 << 24) and last[40:48] == b"4BLindex"
        if is_end and blake3(last[80:112] + last[:8] + last[40:]) == last[8:40]:
            begins = struct.unpack("<Q", last[48:56])[0]
            if begins == (self.index or at):
                return "whole, with a damaged index"
            return f"damaged at byte {offset}"
        search = self.data.find(b"4BLr", at + 1)
        while search >= 0:
            word = struct.unpack("<I", self.data[search + 4:search + 8].ljust(4, b"\0"))[0]
            after = search + 40 + (word & 0xFFFFFF)
            if word >> 24 < 128 and self.block(after, self.data[search + 8:search + 40]):
                return f"damaged at byte {offset}"
            search = self.data.find(b"4BLr", search + 1)
        return "whole, with a damaged index" if self.index is not None else f"torn at byte {offset}"

    def read_index(self):
        """What the index lists: kind, time and pages of each record; and every page that it names."""
        last = self.data[-104:]
        begin, length, list_length, count = struct.unpack("<QQQQ", last[8:40])
        need(last[:8] == b"4BLindex" and begin == self.index, "the index does not begin where the records end")
        frame, at = b"", begin
        while at < len(self.data) - 144:
            size = struct.unpack("<I", self.data[at + 4:at + 8])[0] & 0xFFFFFF
            frame, at = frame + self.data[at + 40:at + 40 + size], at + 40 + size
        need(len(frame) == length and blake3(frame) == last[72:], "the index is damaged")
        plain = unzstd(frame)
        need(len(plain) == list_length, "the list of the index has another length")
        rest, at, listed, named, wall, pages = Bytes(plain), 192, [], set(), self.created, self.pages
        while not rest.is_empty():
            at += rest.number()
            need(self.data[at:at + 4] == b"4BLr", "a group of the index begins at no block")
            at += rest.number()
            for _ in range(rest.number()):
                kind, wall, pages = rest.take(1)[0], wall + rest.difference(), pages + rest.difference()
                listed.append((kind, wall, pages))
            page = 0
            for _ in range(rest.number()):
                page += rest.number() >> 1
                named.add(page)
        need(at <= begin and len(listed) == count, "the index does not fit the log")
        return listed, named

    def record(self, parts, last):
        rest = Bytes(parts[0])
        first = rest.take(1)[0]
        need(first < 16 and 1 <= first & 3 <= 3, "a record of an unknown kind")
        record = Record(first & 3, last[0] + 1, last[1] + rest.difference(), last[2] + rest.difference())
        if first & 4:
            rest.take(24)
        else:
            rest.number(), rest.take(8), rest.number()
        bodies = [rest.data[rest.at:], *parts[1:]]
        if first & 8:
            need(len(bodies[-1]) >= 8, "a record without its checksum")
            record.state = struct.unpack("<Q", bodies[-1][-8:])[0] or None
            bodies[-1] = bodies[-1][:-8]
        for body in bodies:
            rest, page = Bytes(body), 0
            while not rest.is_empty():
                page += rest.difference()
                word = rest.number()
                hash_ = rest.take(8)
                record.entries.append((page, word & 7, hash_, rest.take(word >> 3)))
        need(all(1 <= entry[0] <= record.pages for entry in record.entries), "a record names a page that cannot be")
        return record

    def records_of_1(self):
        at, chain, commit, record, index = 192, self.base, self.commit, None, 0
        begins = at
        while True:
            head = self.data[at:at + 48]
            if len(head) < 48 or head[:4] != b"4BLb":
                break
            length, kind, flags, _, number = struct.unpack("<IBBHI", head[4:16])
            payload = self.data[at + 48:at + 48 + length]
            if length > 1 << 20 or len(payload) != length or number != index or (flags & 1) != (index == 0):
                break
            if blake3(chain + head[:16] + payload) != head[16:48]:
                break
            if index == 0:
                begins = at
                said, wall, pages = struct.unpack("<QqI", payload[:20])
                need(said == commit + 1, "the numbers of commits do not go up by one")
                record, payload = Record(kind, said, wall, pages), payload[44:]
            while payload:
                page, word, hash_ = struct.unpack("<II8s", payload[:16])
                length = word >> 8
                need(len(payload) >= 16 + length, "an entry is not whole")
                record.entries.append((page, word & 0xFF, hash_, payload[16:16 + length]))
                payload = payload[16 + length:]
            at, chain, index = at + 48 + struct.unpack("<I", head[4:8])[0], head[16:48], index + 1
            if flags & 2:
                record.chain, commit, index = chain, record.commit, 0
                begins = at
                yield record
        self.end = "whole" if begins == len(self.data) else f"torn or damaged at byte {begins}"


def when(micros):
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(microseconds=micros)
    return moment.isoformat()


def describe_log(log, each):
    base = f"at full backup {log.archive}" if log.rooted else "at no full backup"
    print(f"{log.path}: log of {log.identity}, version {log.version}, begun {base}, after commit {log.commit}")
    count, listed, pages = 0, [], set()
    for record in log.records():
        count += 1
        if each:
            kind = {1: "commit", 2: "catch-up", 3: "gap"}[record.kind]
            pages = len({entry[0] for entry in record.entries})
            print(f"  {record.commit:>9}  {when(record.wall)}  {kind:<8}  {pages} of {record.pages} pages")
        if log.version == 2:
            listed.append((record.kind, record.wall, record.pages))
            pages.update((entry[0], entry[1] < 2) for entry in record.entries)
    print(f"  {count} records, proven by their chain; the log is {log.end}")
    if log.index is not None and log.end == "whole":
        found, named = log.read_index()
        need(found == listed and named == {page for page, _ in pages}, "the index says something else")
        print("  its index says the same")
    need(log.end == "whole", f"{log.path} is {log.end}")


# --- pages -----------------------------------------------------------------------------------------------------------

def page_hash(page):
    return blake3(page)[:8]


def steps(rest, page, others):
    """The page after the steps in `rest`."""
    source, page, at = bytes(page) + others, bytearray(page), 0
    while not rest.is_empty():
        count, operation = divmod(rest.number(), 4)
        length = 2 * count if operation == 3 else count
        need(at + length <= len(page), "a step goes beyond the page")
        if operation == 1:
            page[at:at + length] = rest.take(length)
        elif operation == 2:
            begin = rest.number()
            need(begin + length <= len(source), "a step begins beyond the source")
            page[at:at + length] = source[begin:begin + length]
        elif operation == 3:
            more = rest.difference()
            for word in range(at, at + length, 2):
                value = (int.from_bytes(page[word:word + 2], "big") + more) & 0xFFFF
                page[word:word + 2] = value.to_bytes(2, "big")
        at += length
    return bytes(page)


def decode(encoding, data, previous, size, before):
    """The page after an entry; `previous` is what it held, if that counts, and `before` tells that of others."""
    if encoding == 0:
        return data
    if encoding == 1:
        return unzstd(data)
    rest, others = Bytes(data), b""
    if encoding in (5, 6):
        count = rest.number()
        need(count < 16, "too many pages are named")
        for _ in range(count):
            others += before(rest.number())
    if encoding == 6:
        return steps(rest, bytes(size), others)
    need(previous is not None and encoding < 7, "a page without the content that it was made from")
    if encoding in (4, 5):
        return steps(rest, previous, others)
    if encoding == 3:
        return unzstd(data, previous)
    page, at = bytearray(previous), 0
    while not rest.is_empty():
        at += rest.number()
        count = rest.number()
        need(at + count <= size, "a patch goes beyond the page")
        page[at:at + count] = rest.take(count)
        at += count
    return bytes(page)


def mix(page, hash_):
    z = (int.from_bytes(hash_, "little") + page * 0x9E3779B97F4A7C15) & MASK64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK64
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK64
    return z ^ z >> 31


class Target:
    """A data file that logs are applied to."""

    def __init__(self, content, page_size):
        self.size = page_size
        self.pages = {n + 1: content[n * page_size:(n + 1) * page_size] for n in range(len(content) // page_size)}
        self.count, self.defined = len(self.pages), None

    def begin(self, blank):
        self.defined = {page for page in range(1, self.count + 1) if not any(a <= page <= b for a, b in blank)}

    def apply(self, record):
        count, new = self.count, {}

        def before(page):
            need(1 <= page <= count, "a page is named that is not there")
            return self.pages.get(page, bytes(self.size))

        for page, encoding, hash_, data in record.entries:
            previous = before(page) if page <= count else None
            content = decode(encoding, data, previous, self.size, before)
            need(len(content) == self.size and page_hash(content) == hash_,
                 f"commit {record.commit}: page {page} is not what the log was made against")
            new[page] = content
        self.pages.update(new)
        self.count = record.pages
        self.pages = {page: content for page, content in self.pages.items() if page <= self.count}
        if self.defined is not None:
            self.defined = {page for page in self.defined if page <= min(count, self.count)} | set(new)

    def state(self):
        return sum(mix(page, page_hash(self.pages[page])) for page in self.defined) & MASK64

    def content(self):
        return b"".join(self.pages.get(page, bytes(self.size)) for page in range(1, self.count + 1))


def integrate(archive, content, paths, until):
    """The data file after the last commit that these logs lead to, or after commit `until`."""
    position = archive.head.get("log_position")
    need(position, "the archive was made without a log")
    target = Target(content, archive.head["page_size"])
    at, state, left = (position["commit"], bytes.fromhex(position["chain"])), None, [Log(path) for path in paths]
    own = uuid.UUID(archive.head["data_file_id"])
    for log in left:
        need(log.identity == own, f"{log.path} belongs to another data file")
    # Of two that go on from one place, the one that was begun in the place of the other.
    left.sort(key=lambda log: -log.epoch)
    while left and (until is None or at[0] < until):
        for log in left:
            here, records = (log.commit, log.base), log.records()
            while here != at and here[0] < at[0]:
                record = next(records, None)
                if record is None:
                    break
                here = (record.commit, record.chain)
            if here == at:
                break
        else:
            break
        left.remove(log)
        is_first, is_at_base = True, at == (log.commit, log.base)
        for record in records:
            if until is not None and record.commit > until:
                break
            need(record.kind != 3, f"{log.path} has a gap at commit {record.commit}")
            if is_first:
                target.begin(log.blank) if is_at_base else setattr(target, "defined", None)
            is_first = False
            target.apply(record)
            at, state = (record.commit, record.chain), record.state
        if log.end not in (None, "whole"):
            print(f"{log.path} is {log.end}", file=sys.stderr)
    need(until is None or at[0] == until, f"the logs lead from commit {position['commit']} to {at[0]} only")
    proven = "its checksum of the state is not known"
    if state is not None and target.defined is not None:
        need(target.state() == state, "the checksum of the state differs")
        proven = "every page proven by the checksum of the state"
    print(f"the data file stands after commit {at[0]}; {proven}")
    return target.content()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=("list", "prove", "extract", "integrate"))
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--commit", type=int)
    given = parser.parse_intermixed_args()
    try:
        if given.job in ("list", "prove"):
            for path in given.files:
                with open(path, "rb") as file:
                    is_log = file.read(8) == b"\x894BL\r\n\x1a\n"
                if is_log:
                    describe_log(Log(path), given.job == "list")
                    continue
                archive = Archive(path)
                describe_archive(archive)
                if given.job == "prove":
                    print(f"  {sum(1 for _ in archive.pieces())} items, each proven")
        elif given.job == "extract":
            need(len(given.files) == 2, "give an archive and a new folder")
            extract(Archive(given.files[0]), given.files[1])
        else:
            need(len(given.files) >= 2, "give an archive, a new folder, and logs")
            archive = Archive(given.files[0])
            extract(archive, given.files[1], lambda data: integrate(archive, data, given.files[2:], given.commit))
    except (Bad, OSError, KeyError, ValueError, struct.error) as error:
        print(f"strongroom_reader: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
