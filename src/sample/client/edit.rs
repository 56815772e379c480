//! What the client does in one transaction.

use chrono::{Datelike, Days, NaiveDate};
use rusqlite::{Connection, OptionalExtension, Result};
use serde::{Deserialize, Serialize};

use crate::sample::{
    fill::{appointment_times, invoice_number, payment_method, quantity_and_discount},
    letters,
    names::{self, Language},
    random::Random,
    schema,
};

/// What sort of edit a transaction of the client was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientEdit {
    /// A new invoice with its lines; the stock of the articles is lowered.
    InvoiceAdded,
    /// A payment for an open invoice.
    InvoicePaid,
    /// A new appointment.
    AppointmentAdded,
    /// An appointment got another time.
    AppointmentMoved,
    /// The oldest appointment was deleted.
    AppointmentDeleted,
    /// A new document, sometimes with a scan.
    DocumentAdded,
    /// A client got another name.
    ClientRenamed,
}

impl ClientEdit {
    /// The edit as the window and the command line call it.
    pub fn label(self) -> &'static str {
        match self {
            ClientEdit::InvoiceAdded => "Invoice added",
            ClientEdit::InvoicePaid => "Invoice paid",
            ClientEdit::AppointmentAdded => "Appointment added",
            ClientEdit::AppointmentMoved => "Appointment moved",
            ClientEdit::AppointmentDeleted => "Appointment deleted",
            ClientEdit::DocumentAdded => "Document added",
            ClientEdit::ClientRenamed => "Client renamed",
        }
    }
}

/// Makes one edit inside the open transaction of `conn` and describes it.
pub(super) fn perform(conn: &Connection, random: &mut Random, today: NaiveDate) -> Result<(ClientEdit, String)> {
    // As often as in an office; as many appointments come as go.
    let (edit, described) = match random.between(0, 99) {
        0..30 => (ClientEdit::InvoiceAdded, add_invoice(conn, random, today)?),
        30..50 => (ClientEdit::InvoicePaid, pay_invoice(conn, random, today)?),
        50..65 => (ClientEdit::AppointmentMoved, move_appointment(conn, random, today)?),
        65..74 => (ClientEdit::AppointmentDeleted, delete_appointment(conn)?),
        74..82 => (ClientEdit::AppointmentAdded, None),
        82..92 => (ClientEdit::DocumentAdded, add_document(conn, random, today)?),
        _ => (ClientEdit::ClientRenamed, rename_client(conn, random)?),
    };
    match described {
        Some(description) => Ok((edit, description)),
        // There is nothing to pay, move, rename or invoice: an appointment can always be added.
        None => Ok((ClientEdit::AppointmentAdded, add_appointment(conn, random, today)?)),
    }
}

fn add_invoice(conn: &Connection, random: &mut Random, today: NaiveDate) -> Result<Option<String>> {
    let Some((client, name, _)) = any_client(conn, random)? else { return Ok(None) };
    let articles = random.between(1, 6);
    let mut chosen = Vec::new();
    for _ in 0..articles {
        chosen.extend(any_id(conn, random, "articles")?);
    }
    if chosen.is_empty() {
        return Ok(None);
    }
    let id: i64 = conn.query_row("SELECT coalesce(max(id), 0) + 1 FROM invoices", [], |row| row.get(0))?;
    let number = invoice_number(today.year(), id);
    conn.prepare_cached(schema::ADD_INVOICE)?.execute((id, &number, client, today.to_string(), 30, None::<&str>))?;
    for (article, position) in chosen.iter().zip(1..) {
        let (quantity, discount) = quantity_and_discount(random);
        conn.prepare_cached(schema::ADD_LINE)?.execute((id, position, article, quantity, discount))?;
        // Where the stock runs out, a delivery has just come.
        conn.prepare_cached(
            "UPDATE article_stock SET quantity = CASE WHEN quantity < ?2 THEN quantity + 200 ELSE quantity - ?2 END
             WHERE article_id = ?1 AND location = 'Lager'",
        )?
        .execute((article, quantity.ceil() as i64))?;
    }
    let total: i64 = conn
        .prepare_cached("SELECT total_rappen FROM invoice_totals WHERE invoice_id = ?1")?
        .query_row([id], |row| row.get(0))?;
    let lines = if chosen.len() == 1 { "1 line".to_owned() } else { format!("{} lines", chosen.len()) };
    Ok(Some(format!("invoice {number} to {name}, {lines}, {}", letters::chf(total))))
}

fn pay_invoice(conn: &Connection, random: &mut Random, today: NaiveDate) -> Result<Option<String>> {
    // The oldest fifty, so that some are paid before others.
    let open: Vec<i64> = conn
        .prepare_cached("SELECT id FROM invoices WHERE paid_on IS NULL ORDER BY issued_on, id LIMIT 50")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_>>()?;
    let Some(invoice) = open.get(random.index(open.len())) else { return Ok(None) };
    let percent = if random.chance(15) { 50 } else { 100 };
    let paid = conn.prepare_cached(schema::ADD_PAYMENT)?.execute((
        invoice,
        today.to_string(),
        percent,
        payment_method(random),
    ))?;
    if paid == 0 {
        return Ok(None);
    }
    let (number, amount, method): (String, i64, String) = conn
        .prepare_cached(
            "SELECT i.number, p.amount_rappen, p.method FROM payments AS p JOIN invoices AS i ON i.id = p.invoice_id
             WHERE p.id = last_insert_rowid()",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(Some(format!("payment of {} for invoice {number} by {method}", letters::chf(amount))))
}

fn add_appointment(conn: &Connection, random: &mut Random, today: NaiveDate) -> Result<String> {
    let client = any_client(conn, random)?;
    let day = soon(random, today);
    let (starts_at, ends_at) = appointment_times(random, day);
    let subject = letters::subject(random);
    let place = random.chance(50).then(|| names::any_place(random).name);
    let id = client.as_ref().map(|(id, ..)| *id);
    conn.prepare_cached(schema::ADD_APPOINTMENT)?.execute((id, &starts_at, ends_at, subject, place))?;
    let with = client.map(|(_, name, _)| format!(" with {name}")).unwrap_or_default();
    Ok(format!("appointment {starts_at}{with}: {subject}"))
}

fn move_appointment(conn: &Connection, random: &mut Random, today: NaiveDate) -> Result<Option<String>> {
    let Some(id) = any_id(conn, random, "appointments")? else { return Ok(None) };
    let day = soon(random, today);
    let (starts_at, ends_at) = appointment_times(random, day);
    let subject: String = conn
        .prepare_cached("UPDATE appointments SET starts_at = ?2, ends_at = ?3 WHERE id = ?1 RETURNING subject")?
        .query_row((id, &starts_at, ends_at), |row| row.get(0))?;
    Ok(Some(format!("appointment {id} moved to {starts_at}: {subject}")))
}

fn delete_appointment(conn: &Connection) -> Result<Option<String>> {
    conn.prepare_cached(
        "DELETE FROM appointments WHERE id = (SELECT id FROM appointments ORDER BY date(starts_at), id LIMIT 1)
         RETURNING starts_at, subject",
    )?
    .query_row([], |row| Ok(format!("appointment {} deleted: {}", row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
    .optional()
}

fn add_document(conn: &Connection, random: &mut Random, today: NaiveDate) -> Result<Option<String>> {
    let Some((client, name, language)) = any_client(conn, random)? else { return Ok(None) };
    let title = letters::title(random, language);
    let body = letters::letter(random, language, &name);
    let scan = random.chance(20).then(|| letters::scan(random));
    let size = body.len() + scan.as_ref().map_or(0, Vec::len);
    conn.prepare_cached(schema::ADD_DOCUMENT)?.execute((client, title, today.to_string(), body, scan))?;
    Ok(Some(format!("document {title} to {name}, {size} bytes")))
}

fn rename_client(conn: &Connection, random: &mut Random) -> Result<Option<String>> {
    let Some((id, old, language)) = any_client(conn, random)? else { return Ok(None) };
    let new = names::client_name(random, language);
    conn.prepare_cached("UPDATE clients SET name = ?2 WHERE id = ?1")?.execute((id, &new))?;
    Ok(Some(format!("client {old} renamed to {new}")))
}

/// A day of the coming weeks.
fn soon(random: &mut Random, today: NaiveDate) -> NaiveDate {
    today.checked_add_days(Days::new(random.next() % 60)).unwrap_or(today)
}

fn any_client(conn: &Connection, random: &mut Random) -> Result<Option<(i64, String, Language)>> {
    let Some(id) = any_id(conn, random, "clients")? else { return Ok(None) };
    conn.prepare_cached("SELECT id, name, language FROM clients WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, Language::from_code(row.get::<_, String>(2)?.as_str()))))
        .optional()
}

/// The id of some record of `table`, none when there is none. Ids may have gaps.
fn any_id(conn: &Connection, random: &mut Random, table: &'static str) -> Result<Option<i64>> {
    let max: Option<i64> =
        conn.prepare_cached(&format!("SELECT max(id) FROM {table}"))?.query_row([], |row| row.get(0))?;
    let Some(max) = max else { return Ok(None) };
    conn.prepare_cached(&format!("SELECT id FROM {table} WHERE id >= ?1 ORDER BY id LIMIT 1"))?
        .query_row([random.between(1, max)], |row| row.get(0))
        .optional()
}
