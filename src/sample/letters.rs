//! What the office writes and keeps: articles, subjects, letters, scans.

use super::{names::Language, random::Random};

/// An article of the price list, before its variants.
pub(super) struct Product {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) price_rappen: i64,
    pub(super) vat_bp: u32,
    /// `None` for services.
    pub(super) weight_kg: Option<f64>,
}

const fn goods(name: &'static str, unit: &'static str, price_rappen: i64, weight_kg: f64) -> Product {
    Product { name, unit, price_rappen, vat_bp: 810, weight_kg: Some(weight_kg) }
}

const fn service(name: &'static str, unit: &'static str, price_rappen: i64) -> Product {
    Product { name, unit, price_rappen, vat_bp: 810, weight_kg: None }
}

/// What the office sells; each product comes in all [`VARIANTS`].
pub(super) const PRODUCTS: [Product; 30] = [
    service("Beratung", "h", 18_500),
    service("Installation vor Ort", "h", 16_000),
    service("Schulung", "h", 17_500),
    service("Fernwartung", "h", 14_500),
    service("Wartungsvertrag", "Jahr", 84_000),
    service("Lizenz Adressverwaltung", "Platz", 29_000),
    service("Lizenz Auftragsbearbeitung", "Platz", 49_000),
    service("Lizenz Lohnbuchhaltung", "Platz", 56_000),
    service("Lizenz Finanzbuchhaltung", "Platz", 62_000),
    service("Datenübernahme", "pauschal", 120_000),
    service("Anfahrt", "km", 90),
    goods("Arbeitsplatzrechner", "Stück", 129_000, 6.5),
    goods("Bildschirm", "Stück", 34_900, 5.2),
    goods("Laserdrucker", "Stück", 45_900, 14.0),
    goods("Etikettendrucker", "Stück", 22_900, 1.8),
    goods("Dokumentenscanner", "Stück", 51_500, 3.1),
    goods("Server", "Stück", 389_000, 21.0),
    goods("Sicherungslaufwerk", "Stück", 18_900, 0.4),
    goods("Netzwerkkabel", "Stück", 1_250, 0.12),
    goods("Tastatur", "Stück", 6_900, 0.9),
    goods("Toner", "Stück", 11_900, 1.1),
    goods("Kopierpapier", "Karton", 2_990, 12.5),
    goods("Couverts mit Fenster", "Schachtel", 3_450, 3.2),
    goods("Einzahlungsscheine", "Paket", 2_400, 1.5),
    goods("Ordner", "Stück", 495, 0.5),
    goods("Registerkarten", "Satz", 780, 0.3),
    goods("Etiketten", "Rolle", 1_690, 0.6),
    goods("Aktenschrank", "Stück", 64_000, 48.0),
    Product { name: "Fachbuch", unit: "Stück", price_rappen: 4_900, vat_bp: 260, weight_kg: Some(0.7) },
    Product { name: "Kaffeebohnen", unit: "kg", price_rappen: 2_650, vat_bp: 260, weight_kg: Some(1.0) },
];

/// The variants of every product with their price in percent of the basic one.
#[rustfmt::skip]
pub(super) const VARIANTS: [(&str, i64); 20] = [
    ("Basis", 100), ("Basis, Wochenende", 150), ("Standard", 120), ("Standard, Aktion", 108),
    ("Komfort", 145), ("Komfort plus", 165), ("Profi", 190), ("Profi, lange Garantie", 215),
    ("klein", 75), ("mittel", 110), ("gross", 160), ("sehr gross", 210),
    ("für Vereine", 80), ("für Schulen", 70), ("Mehrplatz", 240), ("Restposten", 60),
    ("Eco", 95), ("Eco plus", 115), ("Jubiläum", 90), ("auf Mass", 280),
];

#[rustfmt::skip]
const SUBJECTS: [&str; 14] = [
    "Besprechung Offerte", "Schulung Auftragsbearbeitung", "Installation neuer Arbeitsplatz",
    "Jahresabschluss vorbereiten", "Wartung Server", "Telefonkonferenz",
    "Einführung Lohnbuchhaltung", "Abnahme Datenübernahme", "Mittagessen",
    "Besuch an der Messe", "Übergabe Unterlagen", "Rückfragen zur Rechnung",
    "Sitzung Projektleitung", "Kontrolle Datensicherung",
];

#[rustfmt::skip]
const TITLES: [&[&str]; 3] = [
    &["Offerte", "Auftragsbestätigung", "Gesprächsnotiz", "Mahnung", "Vertrag", "Lieferschein", "Brief", "Protokoll"],
    &["Offre", "Confirmation de commande", "Rappel", "Contrat", "Lettre", "Procès-verbal"],
    &["Offerta", "Conferma d'ordine", "Sollecito", "Contratto", "Lettera"],
];

const GREETINGS: [&str; 3] = ["Sehr geehrte Damen und Herren", "Madame, Monsieur,", "Gentili Signore e Signori"];

const CLOSINGS: [&str; 3] = [
    "Freundliche Grüsse\nBüro Edelweiss",
    "Avec nos meilleures salutations\nBureau Edelweiss",
    "Cordiali saluti\nUfficio Edelweiss",
];

const SENTENCES: [&[&str]; 3] = [
    &[
        "Wir danken Ihnen für das angenehme Gespräch und Ihr Interesse an unseren Leistungen.",
        "Gerne unterbreiten wir Ihnen die gewünschte Offerte; sie ist sechzig Tage gültig.",
        "Die Lieferung erfolgt nach Absprache, in der Regel innert zehn Arbeitstagen.",
        "Die Installation dauert voraussichtlich einen halben Tag und stört den Betrieb nicht.",
        "Bitte prüfen Sie die Datensicherung vor der Umstellung und bewahren Sie eine Kopie ausser Haus auf.",
        "Alle Preise verstehen sich in Schweizer Franken, ohne Mehrwertsteuer.",
        "Die Schulung findet in Ihren Räumen statt; wir bringen die Unterlagen mit.",
        "Für Rückfragen steht Ihnen unsere Hotline von Montag bis Freitag zur Verfügung.",
        "Wir haben festgestellt, dass unsere Rechnung noch offen ist, und bitten um Zahlung innert zehn Tagen.",
        "Sollte sich dieses Schreiben mit Ihrer Zahlung gekreuzt haben, betrachten Sie es als gegenstandslos.",
        "Der Wartungsvertrag verlängert sich stillschweigend um ein Jahr, wenn er nicht gekündigt wird.",
        "Die Adressen werden aus der alten Kartei übernommen und von uns auf Dubletten geprüft.",
        "Für die Lohnbuchhaltung benötigen wir die Angaben der Ausgleichskasse.",
        "Wie besprochen liefern wir die Ware in zwei Teilen, den ersten Teil noch diese Woche.",
        "Der Monteur meldet sich am Vortag telefonisch bei Ihnen.",
        "Das Protokoll gilt als genehmigt, wenn wir innert einer Woche nichts von Ihnen hören.",
        "Bei Barzahlung gewähren wir zwei Prozent Skonto.",
        "Die Garantie beträgt zwei Jahre ab dem Tag der Abnahme.",
    ],
    &[
        "Nous vous remercions de votre demande et de la confiance que vous nous témoignez.",
        "Notre offre est valable soixante jours; les prix s'entendent hors taxe, en francs suisses.",
        "La livraison aura lieu dans un délai de dix jours ouvrables.",
        "L'installation prend une demi-journée et n'interrompt pas votre travail.",
        "Veuillez vérifier la sauvegarde des données avant le changement de système.",
        "La formation se déroule dans vos locaux; nous apportons les documents.",
        "Sauf erreur de notre part, notre facture est encore ouverte; nous vous prions de la régler sous dix jours.",
        "Le contrat de maintenance est reconduit tacitement d'année en année.",
        "Notre technicien vous téléphonera la veille de son passage.",
        "La garantie est de deux ans à compter du jour de la réception.",
    ],
    &[
        "Vi ringraziamo per la vostra richiesta e per la fiducia accordataci.",
        "La nostra offerta è valida sessanta giorni; i prezzi si intendono in franchi svizzeri, IVA esclusa.",
        "La consegna avviene entro dieci giorni lavorativi.",
        "L'installazione dura mezza giornata e non interrompe il vostro lavoro.",
        "Vi preghiamo di controllare la copia di sicurezza dei dati prima del cambiamento.",
        "La nostra fattura risulta ancora aperta; vi preghiamo di saldarla entro dieci giorni.",
        "Il tecnico vi telefonerà il giorno prima della visita.",
        "La garanzia è di due anni dal giorno del collaudo.",
    ],
];

pub(super) fn subject(random: &mut Random) -> &'static str {
    random.pick(&SUBJECTS)
}

pub(super) fn title(random: &mut Random, language: Language) -> &'static str {
    random.pick(TITLES[language as usize])
}

/// A letter of one to four kilobytes to `client`.
pub(super) fn letter(random: &mut Random, language: Language, client: &str) -> String {
    let sentences = SENTENCES[language as usize];
    let mut text = format!("{client}\n\n{}\n\n", GREETINGS[language as usize]);
    for _ in 0..random.between(3, 9) {
        for _ in 0..random.between(2, 6) {
            text.push_str(random.pick(sentences));
            text.push(' ');
        }
        text.truncate(text.trim_end().len());
        text.push_str("\n\n");
    }
    text.push_str(CLOSINGS[language as usize]);
    text
}

/// A scanned page as a grey image in the PGM format, a few to sixty kilobytes: noise on white paper, hard to compress.
pub(super) fn scan(random: &mut Random) -> Vec<u8> {
    let width = random.between(60, 200) as usize;
    let height = width * 7 / 5;
    let mut image = format!("P5 {width} {height} 255\n").into_bytes();
    let end = image.len() + width * height;
    while image.len() < end {
        image.extend(random.next().to_le_bytes().map(|byte| byte | 0xc0));
    }
    image.truncate(end);
    image
}

/// An amount as it is written on a Swiss invoice: `CHF 1'234.55`.
pub(super) fn chf(rappen: i64) -> String {
    let francs = (rappen / 100).unsigned_abs().to_string();
    let mut grouped = String::with_capacity(francs.len() + francs.len() / 3);
    for (index, digit) in francs.chars().enumerate() {
        if index > 0 && (francs.len() - index).is_multiple_of(3) {
            grouped.push('\'');
        }
        grouped.push(digit);
    }
    format!("CHF {}{grouped}.{:02}", if rappen < 0 { "-" } else { "" }, (rappen % 100).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_the_swiss_way() {
        let cases =
            [(5, "CHF 0.05"), (123_455, "CHF 1'234.55"), (-100_000_000, "CHF -1'000'000.00"), (-5, "CHF -0.05")];
        for (rappen, text) in cases {
            assert_eq!(chf(rappen), text);
        }
    }

    #[test]
    fn a_scan_is_a_complete_image() {
        let image = scan(&mut Random::new(3));
        let header =
            String::from_utf8_lossy(&image[..image.iter().position(|b| *b == b'\n').unwrap_or(0)]).into_owned();
        let sizes: Vec<usize> = header.split(' ').filter_map(|word| word.parse().ok()).collect();
        assert_eq!(image.len(), header.len() + 1 + sizes[0] * sizes[1]);
    }
}
