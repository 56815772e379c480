//! Names and addresses in three of the Swiss languages. The people and firms are invented; e-mail addresses end in
//! `.example`, which no one can own.

use super::random::Random;

/// The language that a client speaks, which also decides on names, streets and letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    German,
    French,
    Italian,
}

impl Language {
    pub(super) fn code(self) -> &'static str {
        match self {
            Language::German => "de",
            Language::French => "fr",
            Language::Italian => "it",
        }
    }

    /// The language stored as `code`; German, the office's own, for anything unknown.
    pub(super) fn from_code(code: &str) -> Self {
        match code {
            "fr" => Language::French,
            "it" => Language::Italian,
            _ => Language::German,
        }
    }
}

/// Where a client lives.
pub(super) struct Place {
    pub(super) postcode: u32,
    pub(super) name: &'static str,
    pub(super) canton: &'static str,
    pub(super) area_code: u32,
    pub(super) language: Language,
}

const fn place(postcode: u32, name: &'static str, canton: &'static str, area_code: u32, language: Language) -> Place {
    Place { postcode, name, canton, area_code, language }
}

use Language::{French as Fr, German as De, Italian as It};

const PLACES: [&Place; 40] = [
    &place(8001, "Zürich", "ZH", 44, De),
    &place(8400, "Winterthur", "ZH", 52, De),
    &place(8610, "Uster", "ZH", 44, De),
    &place(8820, "Wädenswil", "ZH", 44, De),
    &place(3011, "Bern", "BE", 31, De),
    &place(3600, "Thun", "BE", 33, De),
    &place(3400, "Burgdorf", "BE", 34, De),
    &place(3800, "Interlaken", "BE", 33, De),
    &place(4900, "Langenthal", "BE", 62, De),
    &place(6003, "Luzern", "LU", 41, De),
    &place(6210, "Sursee", "LU", 41, De),
    &place(6460, "Altdorf", "UR", 41, De),
    &place(6430, "Schwyz", "SZ", 41, De),
    &place(8808, "Pfäffikon", "SZ", 55, De),
    &place(6060, "Sarnen", "OW", 41, De),
    &place(6370, "Stans", "NW", 41, De),
    &place(8750, "Glarus", "GL", 55, De),
    &place(6300, "Zug", "ZG", 41, De),
    &place(4500, "Solothurn", "SO", 32, De),
    &place(4600, "Olten", "SO", 62, De),
    &place(4051, "Basel", "BS", 61, De),
    &place(4410, "Liestal", "BL", 61, De),
    &place(8200, "Schaffhausen", "SH", 52, De),
    &place(9100, "Herisau", "AR", 71, De),
    &place(9050, "Appenzell", "AI", 71, De),
    &place(9000, "St. Gallen", "SG", 71, De),
    &place(8640, "Rapperswil", "SG", 55, De),
    &place(7000, "Chur", "GR", 81, De),
    &place(7270, "Davos Platz", "GR", 81, De),
    &place(5000, "Aarau", "AG", 62, De),
    &place(5400, "Baden", "AG", 56, De),
    &place(8500, "Frauenfeld", "TG", 52, De),
    &place(1003, "Lausanne", "VD", 21, Fr),
    &place(1800, "Vevey", "VD", 21, Fr),
    &place(1204, "Genève", "GE", 22, Fr),
    &place(2000, "Neuchâtel", "NE", 32, Fr),
    &place(1700, "Fribourg", "FR", 26, Fr),
    &place(1950, "Sion", "VS", 27, Fr),
    &place(6900, "Lugano", "TI", 91, It),
    &place(6500, "Bellinzona", "TI", 91, It),
];

#[rustfmt::skip]
const FIRST: [&[&str]; 3] = [
    &[
        "Anna", "Andreas", "Barbara", "Beat", "Christian", "Claudia", "Corinne", "Daniel", "Doris", "Fabian",
        "Franziska", "Hans", "Heidi", "Jürg", "Karin", "Kurt", "Lukas", "Manuela", "Marcel", "Margrit", "Markus",
        "Martin", "Monika", "Nadine", "Nicole", "Patrick", "Peter", "Regula", "Reto", "Roland", "Ruth", "Sandra",
        "Simon", "Stefan", "Susanne", "Thomas", "Urs", "Ursula", "Verena", "Walter",
    ],
    &[
        "Anne", "Aurélie", "Bernard", "Cédric", "Chantal", "Christophe", "Éric", "Françoise", "Gérard", "Hélène",
        "Isabelle", "Jacques", "Laurent", "Léa", "Michel", "Nathalie", "Olivier", "Philippe", "Sylvie", "Véronique",
    ],
    &[
        "Alessandro", "Antonella", "Carlo", "Chiara", "Daniela", "Davide", "Elena", "Fabio", "Giulia", "Laura",
        "Luca", "Marco", "Matteo", "Paola", "Roberto", "Silvia",
    ],
];

#[rustfmt::skip]
const LAST: [&[&str]; 3] = [
    &[
        "Müller", "Meier", "Schmid", "Keller", "Weber", "Huber", "Schneider", "Meyer", "Steiner", "Fischer",
        "Gerber", "Brunner", "Baumann", "Frei", "Zimmermann", "Moser", "Widmer", "Wyss", "Graf", "Roth", "Baumgartner",
        "Suter", "Bühler", "Kaufmann", "Kunz", "Hofer", "Bachmann", "Lüthi", "Christen", "Egli", "Ammann", "Zürcher",
        "Häfliger", "Odermatt", "Zgraggen", "Caduff", "Nägeli", "Stöckli", "Wüthrich", "Aeschbacher",
    ],
    &[
        "Favre", "Rochat", "Bonvin", "Dubois", "Jaccard", "Perret", "Girard", "Monnier", "Aubert", "Chevalley",
        "Blanc", "Dupraz", "Jeanneret", "Pittet", "Vuilleumier", "Berthoud", "Crausaz", "Délèze",
    ],
    &[
        "Bernasconi", "Bianchi", "Cavalli", "Crivelli", "Ferrari", "Fontana", "Lepori", "Pedrazzini", "Rossi",
        "Solari", "Tettamanti", "Zanetti",
    ],
];

#[rustfmt::skip]
const TRADES: [&[&str]; 3] = [
    &[
        "Holzbau", "Treuhand", "Elektro", "Sanitär", "Malergeschäft", "Gartenbau", "Metzgerei", "Bäckerei",
        "Architektur", "Optik", "Transporte", "Druckerei", "Metallbau", "Käserei", "Apotheke", "Schreinerei",
    ],
    &["Menuiserie", "Fiduciaire", "Boulangerie", "Électricité", "Vins", "Imprimerie", "Horlogerie", "Garage"],
    &["Falegnameria", "Fiduciaria", "Panetteria", "Costruzioni", "Giardini", "Tipografia"],
];

#[rustfmt::skip]
const STREETS: [&[&str]; 3] = [
    &[
        "Bahnhofstrasse", "Hauptstrasse", "Dorfstrasse", "Kirchgasse", "Schulstrasse", "Seestrasse", "Bergstrasse",
        "Poststrasse", "Industriestrasse", "Mühleweg", "Lindenweg", "Rosenweg", "Sonnenrain", "Oberdorfstrasse",
        "Alte Landstrasse", "Zürcherstrasse", "Feldstrasse", "Gartenstrasse", "Bundesplatz", "Höhenweg",
    ],
    &["Rue du Lac", "Avenue de la Gare", "Rue Centrale", "Chemin des Vignes", "Route de Berne", "Place du Marché"],
    &["Via Nassa", "Viale Stazione", "Via Cantonale", "Via San Gottardo", "Piazza Grande"],
];

const FORMS: [&[&str]; 3] = [&["AG", "GmbH", "& Co.", "& Partner AG"], &["SA", "Sàrl", "& Fils SA"], &["SA", "Sagl"]];

const ROLES: [&[&str]; 3] = [
    &["Geschäftsführung", "Buchhaltung", "Einkauf", "Sekretariat", "Werkstatt"],
    &["Direction", "Comptabilité", "Achats", "Secrétariat"],
    &["Direzione", "Contabilità", "Acquisti", "Segreteria"],
];

fn list<'a>(lists: &[&'a [&'a str]; 3], language: Language) -> &'a [&'a str] {
    lists[language as usize]
}

/// A place; the first of the list come up a little more often, as towns do.
pub(super) fn any_place(random: &mut Random) -> &'static Place {
    let fair = random.index(PLACES.len());
    PLACES[if random.chance(20) { fair / 4 } else { fair }]
}

pub(super) fn street(random: &mut Random, language: Language) -> String {
    format!("{} {}", random.pick(list(&STREETS, language)), random.between(1, 140))
}

pub(super) fn first_name(random: &mut Random, language: Language) -> &'static str {
    random.pick(list(&FIRST, language))
}

/// A last name; every tenth comes from another part of the country.
pub(super) fn last_name(random: &mut Random, language: Language) -> &'static str {
    let from = if random.chance(10) { *random.pick(&[&De, &Fr, &It]) } else { language };
    random.pick(list(&LAST, from))
}

pub(super) fn role(random: &mut Random, language: Language) -> &'static str {
    random.pick(list(&ROLES, language))
}

/// A firm, or every third time a private person.
pub(super) fn client_name(random: &mut Random, language: Language) -> String {
    let last = last_name(random, language);
    if random.chance(35) {
        return format!("{} {last}", first_name(random, language));
    }
    let form = random.pick(list(&FORMS, language));
    let trade = random.pick(list(&TRADES, language));
    match language {
        Language::German => format!("{last} {trade} {form}"),
        Language::French | Language::Italian => format!("{trade} {last} {form}"),
    }
}

pub(super) fn phone(random: &mut Random, area_code: u32) -> String {
    let (head, mid, tail) = (random.between(200, 999), random.between(0, 99), random.between(0, 99));
    format!("+41 {area_code} {head} {mid:02} {tail:02}")
}

/// The part of an e-mail address that belongs to `name`: small ASCII letters with single hyphens.
pub(super) fn mail_part(name: &str) -> String {
    let mut part = String::with_capacity(name.len());
    for letter in name.chars().flat_map(char::to_lowercase) {
        match letter {
            'ä' => part.push_str("ae"),
            'ö' => part.push_str("oe"),
            'ü' => part.push_str("ue"),
            'à' => part.push('a'),
            'é' | 'è' | 'ê' => part.push('e'),
            'ç' => part.push('c'),
            'a'..='z' | '0'..='9' => part.push(letter),
            _ if part.is_empty() || part.ends_with('-') => {}
            _ => part.push('-'),
        }
    }
    part.truncate(part.trim_end_matches('-').len());
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_mail_addresses() {
        assert_eq!(mail_part("Bühler Sanitär & Partner AG"), "buehler-sanitaer-partner-ag");
        assert_eq!(mail_part("Électricité Délèze Sàrl"), "electricite-deleze-sarl");
        assert_eq!(mail_part("Kunz & Co."), "kunz-co");
    }

    #[test]
    fn a_language_is_found_again_by_its_code() {
        assert!([De, Fr, It].into_iter().all(|language| Language::from_code(language.code()) == language));
    }
}
