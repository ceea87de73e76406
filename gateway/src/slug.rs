//! Ids that the gateway makes of a name, when the client leaves the choice to it.

use cabildo_events::EventId;
use cabildo_events::limits::SLUG_CHARS_MAX;
use uuid::Uuid;

/// `¿Quién toca?` becomes `quien-toca`; a name of which nothing is left becomes a UUIDv7.
pub(crate) fn slug(name: &str) -> String {
    let mut slug = String::new();
    let mut length = 0;
    for letter in name.chars().flat_map(char::to_lowercase).map(plain) {
        if length == SLUG_CHARS_MAX {
            break;
        }
        if letter.is_alphanumeric() {
            slug.push(letter);
            length += 1;
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
            length += 1;
        }
    }
    let slug = slug.trim_end_matches('-');
    // A letter of another script may take four bytes; ids are bounded in bytes.
    if slug.is_empty() || slug.len() > cabildo_events::limits::ID_BYTES_MAX - 9 {
        return Uuid::now_v7().to_string();
    }
    slug.to_owned()
}

/// The slug again, told apart from the one that is taken. The same key gives the same id, so a repeated request is one.
pub(crate) fn another(slug: &str, key: Option<&str>) -> String {
    let id = key.map_or_else(Uuid::now_v7, |key| EventId::from_key(slug, key).0);
    let id = id.simple().to_string();
    format!("{slug}-{}", &id[id.len() - 8..])
}

/// Latin letters without their accents: addresses are read aloud and typed.
const fn plain(letter: char) -> char {
    match letter {
        'á' | 'à' | 'ä' | 'â' | 'ã' => 'a',
        'é' | 'è' | 'ë' | 'ê' => 'e',
        'í' | 'ì' | 'ï' | 'î' => 'i',
        'ó' | 'ò' | 'ö' | 'ô' | 'õ' => 'o',
        'ú' | 'ù' | 'ü' | 'û' => 'u',
        'ñ' => 'n',
        'ç' => 'c',
        _ => letter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cabildo_events::PollId;

    #[test]
    fn a_name_becomes_an_id_that_can_be_typed() {
        assert_eq!(slug("¿Quién toca?"), "quien-toca");
        assert_eq!(slug("  Bandas  Guatemaltecas 2026!"), "bandas-guatemaltecas-2026");
        assert_eq!(slug("K'iche'"), "k-iche");
        assert_eq!(slug(&"a b ".repeat(100)).chars().count(), SLUG_CHARS_MAX - 1);
    }

    #[test]
    fn whatever_the_name_the_id_is_good() {
        for name in ["???", "🎸🎸", &"漢".repeat(200), &"ñ-".repeat(100), "x"] {
            let slug = slug(name);
            assert!(slug.parse::<PollId>().is_ok() && another(&slug, None).parse::<PollId>().is_ok(), "{slug}");
        }
    }

    #[test]
    fn the_same_key_gives_the_same_other_id() {
        assert_eq!(another("lobby", Some("k")), another("lobby", Some("k")));
        assert_ne!(another("lobby", Some("k")), another("lobby", Some("l")));
    }
}
