//! Fills the tables of a new sample, always with the same records.

use std::path::Path;

use chrono::{Datelike, Days, NaiveDate, Weekday};
use rusqlite::{Connection, Params};

use super::{letters, names, random::Random, schema};
use crate::{
    control::{Control, Phase},
    error::{Error, Result},
};

/// The day the sample stands at: nothing but appointments lies after it.
const LAST_DAY: NaiveDate = match NaiveDate::from_ymd_opt(2026, 6, 30) {
    Some(day) => day,
    None => NaiveDate::MAX,
};

/// The days before [`LAST_DAY`] that the sample covers, six and a half years.
const SPAN_DAYS: u64 = 2368;

const CLIENTS: u32 = 2400;
const CONTACTS: u32 = 3600;
const ARTICLES: u32 = (letters::PRODUCTS.len() * letters::VARIANTS.len()) as u32;
const LOCATIONS: [&str; 2] = ["Lager", "Laden"];
const INVOICES: u32 = 7500;
const APPOINTMENTS: u32 = 3000;
const DOCUMENTS: u32 = 1200;

/// The last invoices, of some six weeks, are not yet paid.
const INVOICES_UNPAID: u32 = 150;

const SETTINGS: [(&str, &str); 12] = [
    ("office.name", "Büro Edelweiss"),
    ("office.street", "Bundesplatz 3"),
    ("office.place", "6300 Zug"),
    ("office.vat", "CHE-000.000.000 MWST"),
    ("currency", "CHF"),
    ("language", "de"),
    ("invoice.terms_days", "30"),
    ("invoice.reminder_days", "10"),
    ("invoice.footer", "Zahlbar innert 30 Tagen, rein netto."),
    ("stock.warn_below", "10"),
    ("calendar.opens", "07:30"),
    ("calendar.closes", "18:00"),
];

/// The number of records in the tables of a new sample, not counting the search index.
pub(super) fn records() -> u64 {
    let invoices: u32 = (1..=INVOICES).map(|id| 1 + lines_of(id) + payments_of(id)).sum();
    let stock = ARTICLES * LOCATIONS.len() as u32;
    u64::from(CLIENTS + CONTACTS + ARTICLES + stock + invoices + APPOINTMENTS + DOCUMENTS) + SETTINGS.len() as u64
}

/// Three on average. Fixed by the number of the invoice, so that the total is known before the work.
fn lines_of(invoice: u32) -> u32 {
    [1, 3, 2, 5, 3, 1, 4, 2, 6, 3][invoice as usize % 10]
}

/// Most clients pay at once, some in two instalments, a few never.
fn payments_of(invoice: u32) -> u32 {
    match invoice {
        _ if invoice > INVOICES - INVOICES_UNPAID || invoice.is_multiple_of(37) => 0,
        _ if invoice.is_multiple_of(11) => 2,
        _ => 1,
    }
}

/// Invoices are numbered by day, and nobody writes any at the weekend.
fn invoice_day(invoice: u32) -> NaiveDate {
    let day = days_ago(SPAN_DAYS - u64::from(invoice) * SPAN_DAYS / u64::from(INVOICES) + 2);
    match day.weekday() {
        Weekday::Sat => day + Days::new(2),
        Weekday::Sun => day + Days::new(1),
        _ => day,
    }
}

fn days_ago(days: u64) -> NaiveDate {
    LAST_DAY - Days::new(days)
}

/// Some day of the last `days`.
fn any_day(random: &mut Random, days: u64) -> NaiveDate {
    days_ago(random.next() % days)
}

/// The number of an invoice as printed, such as `2026-07499`.
pub(super) fn invoice_number(year: i32, id: i64) -> String {
    format!("{year}-{id:05}")
}

/// Creates the tables in an empty database and fills them in one transaction.
pub(super) fn fill(conn: &Connection, path: &Path, control: &Control) -> Result<()> {
    control.phase(Phase::Creating, records());
    let fail = |e| Error::sqlite("fill", path, e);
    let transaction = conn.unchecked_transaction().map_err(fail)?;
    transaction.execute_batch(schema::TABLES).map_err(fail)?;
    let mut fill = Fill { conn, path, control, random: Random::new(0x0ede_1e15), spoken: Vec::new() };
    fill.settings()?;
    fill.clients()?;
    fill.contacts()?;
    fill.articles()?;
    fill.invoices()?;
    fill.payments()?;
    fill.appointments()?;
    fill.documents()?;
    transaction.commit().map_err(fail)
}

struct Fill<'a> {
    conn: &'a Connection,
    path: &'a Path,
    control: &'a Control,
    random: Random,
    /// What the clients speak, for the letters to them.
    spoken: Vec<names::Language>,
}

impl Fill<'_> {
    /// Adds one record for every one of `items`.
    fn add<T, P: Params>(
        &mut self,
        sql: &str,
        items: impl Iterator<Item = T>,
        mut record: impl FnMut(&mut Self, T) -> P,
    ) -> Result<()> {
        let (conn, path) = (self.conn, self.path);
        let fail = |e| Error::sqlite("fill", path, e);
        let mut statement = conn.prepare(sql).map_err(fail)?;
        for item in items {
            self.control.check()?;
            statement.execute(record(self, item)).map_err(fail)?;
            self.control.add(1);
        }
        Ok(())
    }

    fn any_client(&mut self) -> u32 {
        self.random.between(1, i64::from(CLIENTS)) as u32
    }

    /// The language of client `id`.
    fn language_of(&self, id: u32) -> names::Language {
        self.spoken.get(id as usize - 1).copied().unwrap_or(names::Language::German)
    }

    fn settings(&mut self) -> Result<()> {
        self.add("INSERT INTO settings(name, value) VALUES(?1, ?2)", SETTINGS.iter(), |_, pair| *pair)
    }

    fn clients(&mut self) -> Result<()> {
        let sql =
            "INSERT INTO clients(id, number, name, street, postcode, place, canton, language, phone, email, since)
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        self.add(sql, 1..=CLIENTS, |fill, id| {
            let random = &mut fill.random;
            let place = names::any_place(random);
            let name = names::client_name(random, place.language);
            let mail = random.chance(85).then(|| format!("info@{}.example", names::mail_part(&name)));
            fill.spoken.push(place.language);
            (
                id,
                format!("K{:05}", 10_000 + id),
                name,
                names::street(random, place.language),
                place.postcode,
                place.name,
                place.canton,
                place.language.code(),
                random.chance(90).then(|| names::phone(random, place.area_code)),
                mail,
                any_day(random, 2 * SPAN_DAYS).to_string(),
            )
        })
    }

    fn contacts(&mut self) -> Result<()> {
        let sql = "INSERT INTO contacts(client_id, first_name, last_name, role, mobile, email, born_on)
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        self.add(sql, 1..=CONTACTS, |fill, number| {
            // Every client has one, half of them two.
            let client = (number - 1) % CLIENTS + 1;
            let language = fill.language_of(client);
            let random = &mut fill.random;
            let (first, last) = (names::first_name(random, language), names::last_name(random, language));
            let mobile = [76, 78, 79][random.index(3)];
            (
                client,
                first,
                last,
                random.chance(70).then(|| names::role(random, language)),
                random.chance(80).then(|| names::phone(random, mobile)),
                random
                    .chance(60)
                    .then(|| format!("{}.{}@post.example", names::mail_part(first), names::mail_part(last))),
                random.chance(30).then(|| days_ago(random.between(8_000, 26_000) as u64).to_string()),
            )
        })
    }

    fn articles(&mut self) -> Result<()> {
        let products = || letters::PRODUCTS.iter().flat_map(|p| letters::VARIANTS.iter().map(move |v| (p, v))).zip(1..);
        let sql = "INSERT INTO articles(id, number, name, unit, price_rappen, vat_bp, weight_kg)
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        self.add(sql, products(), |_, ((product, (variant, percent)), id): (_, u32)| {
            // Prices end on a full five rappen.
            let price = (product.price_rappen * percent / 100 / 5).max(1) * 5;
            let name = format!("{} {variant}", product.name);
            (id, format!("A-{:04}", 1000 + id), name, product.unit, price, product.vat_bp, product.weight_kg)
        })?;
        let places = (1..=ARTICLES).flat_map(|article| LOCATIONS.iter().map(move |location| (article, location)));
        let sql = "INSERT INTO article_stock(article_id, location, quantity, counted_on) VALUES(?1, ?2, ?3, ?4)";
        self.add(sql, places, |fill, (article, location)| {
            (article, *location, fill.random.between(0, 250), any_day(&mut fill.random, 365).to_string())
        })
    }

    fn invoices(&mut self) -> Result<()> {
        self.add(schema::ADD_INVOICE, 1..=INVOICES, |fill, id| {
            let day = invoice_day(id);
            let client = fill.any_client();
            let random = &mut fill.random;
            let terms = if random.chance(80) { 30 } else { random.between(1, 6) * 10 };
            let note = random.chance(8).then_some("Wie telefonisch besprochen");
            (id, invoice_number(day.year(), i64::from(id)), client, day.to_string(), terms, note)
        })?;
        let lines = (1..=INVOICES).flat_map(|invoice| (1..=lines_of(invoice)).map(move |position| (invoice, position)));
        self.add(schema::ADD_LINE, lines, |fill, (invoice, position)| {
            let (quantity, discount) = quantity_and_discount(&mut fill.random);
            (invoice, position, fill.random.between(1, i64::from(ARTICLES)), quantity, discount)
        })
    }

    fn payments(&mut self) -> Result<()> {
        let due = (1..=INVOICES).flat_map(|invoice| (1..=payments_of(invoice)).map(move |turn| (invoice, turn)));
        self.add(schema::ADD_PAYMENT, due, |fill, (invoice, turn)| {
            let last = turn == payments_of(invoice);
            // The whole rest is paid with the last instalment.
            let percent = if last { 100 } else { fill.random.between(20, 70) };
            let wait = if last { fill.random.between(20, 42) } else { fill.random.between(3, 19) };
            let day = invoice_day(invoice) + Days::new(wait as u64);
            (invoice, day.to_string(), percent, payment_method(&mut fill.random))
        })
    }

    fn appointments(&mut self) -> Result<()> {
        self.add(schema::ADD_APPOINTMENT, 1..=APPOINTMENTS, |fill, number| {
            let client = fill.any_client();
            let random = &mut fill.random;
            let day = days_ago(SPAN_DAYS - u64::from(number) * SPAN_DAYS / u64::from(APPOINTMENTS));
            // The last tenth is still to come.
            let day = if number.is_multiple_of(10) { LAST_DAY + Days::new(random.next() % 180) } else { day };
            let (starts_at, ends_at) = appointment_times(random, day);
            let place = random.chance(50).then(|| names::any_place(random).name);
            (random.chance(85).then_some(client), starts_at, ends_at, letters::subject(random), place)
        })
    }

    fn documents(&mut self) -> Result<()> {
        let names: Vec<String> = {
            let fail = |e| Error::sqlite("fill", self.path, e);
            let mut statement = self.conn.prepare("SELECT name FROM clients ORDER BY id").map_err(fail)?;
            statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).map_err(fail)?
        };
        self.add(schema::ADD_DOCUMENT, 1..=DOCUMENTS, |fill, number| {
            let client = fill.any_client();
            let language = fill.language_of(client);
            let name = names.get(client as usize - 1).map_or("", String::as_str);
            let random = &mut fill.random;
            let title = format!("{} {}", letters::title(random, language), number);
            let day = days_ago(SPAN_DAYS - u64::from(number) * SPAN_DAYS / u64::from(DOCUMENTS));
            let body = letters::letter(random, language, name);
            let scan = number.is_multiple_of(5).then(|| letters::scan(random));
            (client, title, day.to_string(), body, scan)
        })
    }
}

/// Whole pieces or half hours, and now and then a discount in percent.
pub(super) fn quantity_and_discount(random: &mut Random) -> (f64, i64) {
    let most = [2, 4, 12][random.index(3)];
    let pieces = random.between(1, most) as f64;
    let quantity = if random.chance(20) { pieces / 2.0 } else { pieces };
    let discount = if random.chance(10) { random.between(1, 4) * 5 } else { 0 };
    (quantity, discount)
}

pub(super) fn payment_method(random: &mut Random) -> &'static str {
    random.pick(&["QR-Rechnung", "QR-Rechnung", "QR-Rechnung", "eBill", "TWINT", "Bar"])
}

/// Start and end of an appointment on `day`, within the hours of the office.
pub(super) fn appointment_times(random: &mut Random, day: NaiveDate) -> (String, String) {
    let start = random.between(8 * 4, 16 * 4) * 15;
    let end = start + random.between(1, 8) * 15;
    let text = |minutes: i64| format!("{day} {:02}:{:02}", minutes / 60, minutes % 60);
    (text(start), text(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invoices_follow_the_calendar_and_payments_come_before_the_last_day() {
        let days: Vec<NaiveDate> = (1..=INVOICES).map(invoice_day).collect();
        assert!(days.is_sorted());
        assert!((6..=8).contains(&(days[days.len() - 1].year() - days[0].year())));
        assert!(days.iter().all(|day| !matches!(day.weekday(), Weekday::Sat | Weekday::Sun)));
        let paid_last = (1..=INVOICES).rev().find(|id| payments_of(*id) > 0).map(invoice_day);
        assert!(paid_last.is_some_and(|day| day + Days::new(42) <= LAST_DAY));
    }

    #[test]
    fn the_sample_has_some_fifty_thousand_records() {
        assert!((49_500..50_500).contains(&records()), "{}", records());
    }

    #[test]
    fn a_stop_is_seen_between_two_records() -> Result<()> {
        let path = Path::new("memory");
        let fail = |e| Error::sqlite("test", path, e);
        let conn = Connection::open_in_memory().map_err(fail)?;
        conn.execute_batch("CREATE TABLE t(x)").map_err(fail)?;
        let control = Control::default();
        let mut fill = Fill { conn: &conn, path, control: &control, random: Random::new(1), spoken: Vec::new() };
        let added = fill.add("INSERT INTO t VALUES(?1)", 1..=1000, |fill, number| {
            if number == 3 {
                fill.control.stop();
            }
            [number]
        });
        assert_eq!(added.err().map(|e| e.kind()), Some(crate::error::ErrorKind::Stopped));
        assert_eq!(conn.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).map_err(fail)?, 3);
        assert_eq!(control.progress().done, 3);
        Ok(())
    }
}
