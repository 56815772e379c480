//! The tables of the sample: a little of everything that SQLite offers to applications and that a backup, a log and the
//! view of activity must therefore cope with.

/// Marks the file as the sample (`PRAGMA application_id`, "EDLW"), so that nothing else is ever edited by its client.
pub(super) const APPLICATION_ID: i32 = 0x4544_4c57;

/// The version of [`TABLES`] (`PRAGMA user_version`), raised when the client needs other tables.
pub(super) const SCHEMA_VERSION: i32 = 1;

/// All tables, indexes, views and triggers.
pub(super) const TABLES: &str = "
CREATE TABLE settings(
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE clients(
    id INTEGER PRIMARY KEY,
    number TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL CHECK(name <> ''),
    street TEXT NOT NULL,
    postcode INTEGER NOT NULL,
    place TEXT NOT NULL,
    canton TEXT NOT NULL CHECK(length(canton) = 2),
    language TEXT NOT NULL DEFAULT 'de',
    phone TEXT,
    email TEXT,
    since TEXT NOT NULL,
    address TEXT GENERATED ALWAYS AS (street || ', ' || postcode || ' ' || place) VIRTUAL
);
CREATE INDEX clients_name ON clients(lower(name));
CREATE INDEX clients_place ON clients(postcode, place);

CREATE TABLE former_names(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    client_id INTEGER NOT NULL REFERENCES clients(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    until TEXT NOT NULL
);
CREATE INDEX former_names_client ON former_names(client_id);
CREATE TRIGGER clients_renamed AFTER UPDATE OF name ON clients WHEN OLD.name <> NEW.name BEGIN
    INSERT INTO former_names(client_id, name, until) VALUES(OLD.id, OLD.name, datetime('now'));
END;

CREATE TABLE contacts(
    id INTEGER PRIMARY KEY,
    client_id INTEGER NOT NULL REFERENCES clients(id) ON DELETE CASCADE,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    role TEXT,
    mobile TEXT,
    email TEXT,
    born_on TEXT
);
CREATE INDEX contacts_client ON contacts(client_id);
CREATE INDEX contacts_name ON contacts(last_name COLLATE NOCASE, first_name COLLATE NOCASE);

CREATE TABLE articles(
    id INTEGER PRIMARY KEY,
    number TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    price_rappen INTEGER NOT NULL CHECK(price_rappen > 0),
    vat_bp INTEGER NOT NULL,
    weight_kg REAL
);

CREATE TABLE article_stock(
    article_id INTEGER NOT NULL REFERENCES articles(id),
    location TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK(quantity >= 0),
    counted_on TEXT NOT NULL,
    PRIMARY KEY(article_id, location)
) WITHOUT ROWID;
CREATE INDEX article_stock_low ON article_stock(location, quantity) WHERE quantity < 10;

CREATE TABLE invoices(
    id INTEGER PRIMARY KEY,
    number TEXT NOT NULL UNIQUE,
    client_id INTEGER NOT NULL REFERENCES clients(id),
    issued_on TEXT NOT NULL,
    terms_days INTEGER NOT NULL DEFAULT 30,
    due_on TEXT GENERATED ALWAYS AS (date(issued_on, '+' || terms_days || ' days')) VIRTUAL,
    paid_on TEXT,
    note TEXT
);
CREATE INDEX invoices_client ON invoices(client_id, issued_on);
CREATE INDEX invoices_open ON invoices(issued_on) WHERE paid_on IS NULL;

CREATE TABLE invoice_lines(
    id INTEGER PRIMARY KEY,
    invoice_id INTEGER NOT NULL REFERENCES invoices(id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    article_id INTEGER NOT NULL REFERENCES articles(id),
    text TEXT NOT NULL,
    quantity REAL NOT NULL CHECK(quantity > 0),
    price_rappen INTEGER NOT NULL,
    discount_percent INTEGER NOT NULL DEFAULT 0,
    vat_bp INTEGER NOT NULL,
    net_rappen INTEGER GENERATED ALWAYS AS
        (CAST(round(quantity * price_rappen * (100 - discount_percent) / 100) AS INTEGER)) STORED,
    UNIQUE(invoice_id, position)
);
CREATE INDEX invoice_lines_article ON invoice_lines(article_id);

CREATE TABLE payments(
    id INTEGER PRIMARY KEY,
    invoice_id INTEGER NOT NULL REFERENCES invoices(id),
    paid_on TEXT NOT NULL,
    amount_rappen INTEGER NOT NULL CHECK(amount_rappen > 0),
    method TEXT NOT NULL
);
CREATE INDEX payments_invoice ON payments(invoice_id);

-- With value added tax, and rounded to five rappen because there are no smaller coins.
CREATE VIEW invoice_totals(invoice_id, line_count, total_rappen) AS
    SELECT invoice_id, count(*), CAST(round(sum(net_rappen * (10000 + vat_bp)) / 50000.0) AS INTEGER) * 5
    FROM invoice_lines GROUP BY invoice_id;

CREATE VIEW open_invoices AS
    SELECT i.id, i.number, c.name AS client, i.issued_on, i.due_on, t.line_count, t.total_rappen,
           t.total_rappen
           - coalesce((SELECT sum(amount_rappen) FROM payments WHERE invoice_id = i.id), 0) AS open_rappen
    FROM invoices AS i JOIN clients AS c ON c.id = i.client_id JOIN invoice_totals AS t ON t.invoice_id = i.id
    WHERE i.paid_on IS NULL;

CREATE TRIGGER payments_settle AFTER INSERT ON payments BEGIN
    UPDATE invoices SET paid_on = NEW.paid_on WHERE id = NEW.invoice_id
        AND (SELECT sum(amount_rappen) FROM payments WHERE invoice_id = NEW.invoice_id)
         >= (SELECT total_rappen FROM invoice_totals WHERE invoice_id = NEW.invoice_id);
END;

CREATE TABLE appointments(
    id INTEGER PRIMARY KEY,
    client_id INTEGER REFERENCES clients(id) ON DELETE SET NULL,
    starts_at TEXT NOT NULL,
    ends_at TEXT NOT NULL CHECK(ends_at > starts_at),
    subject TEXT NOT NULL,
    place TEXT
);
CREATE INDEX appointments_client ON appointments(client_id);
CREATE INDEX appointments_day ON appointments(date(starts_at));

CREATE TABLE documents(
    id INTEGER PRIMARY KEY,
    client_id INTEGER REFERENCES clients(id) ON DELETE SET NULL,
    title TEXT NOT NULL,
    written_on TEXT NOT NULL,
    body TEXT NOT NULL,
    scan BLOB
);
CREATE INDEX documents_client ON documents(client_id, written_on);

CREATE VIRTUAL TABLE document_search USING fts5(
    title, body, content='documents', content_rowid='id', tokenize='unicode61 remove_diacritics 2'
);
CREATE TRIGGER documents_added AFTER INSERT ON documents BEGIN
    INSERT INTO document_search(rowid, title, body) VALUES(NEW.id, NEW.title, NEW.body);
END;
CREATE TRIGGER documents_removed AFTER DELETE ON documents BEGIN
    INSERT INTO document_search(document_search, rowid, title, body) VALUES('delete', OLD.id, OLD.title, OLD.body);
END;
CREATE TRIGGER documents_changed AFTER UPDATE OF title, body ON documents BEGIN
    INSERT INTO document_search(document_search, rowid, title, body) VALUES('delete', OLD.id, OLD.title, OLD.body);
    INSERT INTO document_search(rowid, title, body) VALUES(NEW.id, NEW.title, NEW.body);
END;
";

/// A line of invoice ?1 at position ?2: article ?3, quantity ?4, discount ?5 in percent.
///
/// Name and price are copied, since an invoice stays as it was sent. The Swiss rates of VAT changed in 2024.
pub(super) const ADD_LINE: &str = "
INSERT INTO invoice_lines(invoice_id, position, article_id, text, quantity, discount_percent, price_rappen, vat_bp)
SELECT i.id, ?2, a.id, a.name, ?4, ?5, a.price_rappen,
       CASE WHEN i.issued_on >= '2024-01-01' THEN a.vat_bp WHEN a.vat_bp = 810 THEN 770 ELSE 250 END
FROM articles AS a, invoices AS i WHERE a.id = ?3 AND i.id = ?1";

/// A payment for invoice ?1 on day ?2 of ?3 percent of what is still open, by method ?4; nothing when nothing is open.
/// Amounts are multiples of five rappen.
pub(super) const ADD_PAYMENT: &str = "
INSERT INTO payments(invoice_id, paid_on, amount_rappen, method)
SELECT id, ?2, open_rappen * ?3 / 500 * 5, ?4 FROM open_invoices
WHERE id = ?1 AND open_rappen * ?3 / 500 > 0";

/// A document: client ?1, title ?2, day ?3, text ?4, scan ?5.
pub(super) const ADD_DOCUMENT: &str =
    "INSERT INTO documents(client_id, title, written_on, body, scan) VALUES(?1, ?2, ?3, ?4, ?5)";

/// An appointment: client ?1, start ?2, end ?3, subject ?4, place ?5.
pub(super) const ADD_APPOINTMENT: &str =
    "INSERT INTO appointments(client_id, starts_at, ends_at, subject, place) VALUES(?1, ?2, ?3, ?4, ?5)";

/// An invoice: id ?1, number ?2, client ?3, day ?4, terms ?5 in days, note ?6.
pub(super) const ADD_INVOICE: &str =
    "INSERT INTO invoices(id, number, client_id, issued_on, terms_days, note) VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
