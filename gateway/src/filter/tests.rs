//! The filter's rules: what it takes, what it refuses and where, what it costs.

use std::time::Duration;

use cabildo_events::Position;

use super::*;

const BALLOT: &str = r#"{"type":"poll.ballot.cast","actor":"Ana","time":"2026-11-21T05:30:00.000000Z","lane":"3",
    "data":{"options":["a","b"],"rank":3,"share":0.5,"text":"HOLA A TODOS","tags":[{"n":"x"},{"n":"y"}],"none":null}}"#;

fn asked(text: &str) -> Result<bool, String> {
    Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}")).holds(BALLOT)
}

fn refused(text: &str) -> (usize, usize, String) {
    let error = Expression::parse(text).expect_err(text);
    (error.offset, error.length, error.reason)
}

#[test]
fn given_an_event_when_an_expression_is_asked_then_it_holds_or_not() {
    for (text, holds) in [
        ("event.type == 'poll.ballot.cast' && event.data.options.size() > 1", true),
        ("event.data.rank < 3", false),
        ("event.data.rank + 1 == 4 && event.data.share * 2.0 == 1.0", true),
        ("event.data.rank in [1, 2, 3]", true),
        ("has(event.data.album)", false),
        ("has(event.data.album) && event.data.album == 'x'", false),
        ("event.data.none == null", true),
        ("event.data.tags.exists(t, t.n == 'y') && !event.data.tags.all(t, t.n == 'y')", true),
        ("event.data.tags.map(t, t.n) == ['x', 'y'] && event.data.options.filter(o, o > 'a').size() == 1", true),
        ("event.data.text.matches('^[A-Z ]+$') && event.data.text.startsWith('HOLA')", true),
        ("timestamp(event.time).getHours('America/Bogota') < 6", true),
        ("timestamp(event.time) - timestamp('2026-11-21T05:00:00Z') == duration('30m')", true),
        ("event.actor == 'Ana' ? event.lane == '3' : false", true),
        ("type(event.data.rank) == int && 'data' in event", true),
        ("event['data']['options'][0] == 'a'", true),
        ("false || event.data.options[7] == 'a' || true", true),
    ] {
        assert_eq!(asked(text), Ok(holds), "{text}");
    }
}

#[test]
fn given_an_event_it_does_not_fit_when_it_is_asked_then_it_says_why() {
    for (text, reason) in [
        ("event.data.album == 'x'", "the event has no `album` there: ask has(…) before"),
        ("event.data.rank", "the expression gave a value of type int, not true or false"),
        ("event.data.text < 3", "found no matching overload for '<' applied to '(string, int)'"),
        ("event.data.rank / 0 == 1", "division by zero"),
        ("event.data.options[7] == 'a'", "the list is shorter than that"),
    ] {
        assert_eq!(asked(text), Err(reason.to_owned()), "{text}");
    }
    for text in
        ["event.data.rank * 9223372036854775807 > 1", "event.data.text.matches('(')", "int(event.data.text) > 1"]
    {
        assert!(asked(text).is_err(), "{text}");
    }
}

#[test]
fn given_a_faulty_expression_when_it_is_read_then_the_place_is_named() {
    for (text, offset, length, reason) in [
        ("", 0, 0, "the expression is empty"),
        ("actor == 'Ana'", 0, 5, "there is no `actor`: what is asked about is `event`"),
        ("event.actor == 'ñ' && acotr == 1", 22, 5, "there is no `acotr`"),
        ("event.data.tags.exists(t, u.n == 'y')", 26, 1, "there is no `u`"),
        ("event.data.tags.exists(t, t.n == 'y') || t == 1", 41, 1, "there is no `t`"),
    ] {
        let found = refused(text);
        assert_eq!((found.0, found.1), (offset, length), "{text}: {found:?}");
        assert!(found.2.contains(reason), "{text}: {found:?}");
    }
    let (offset, _, reason) = refused("event.actor ==");
    assert!(offset >= 12, "{offset}: {reason}");
    let (offset, _, reason) = refused("event.actor.shout() == 'ANA'");
    assert!(offset >= 5 && reason.contains("there is no function `shout`"), "{offset}: {reason}");
    let error = Expression::parse("lower(event.actor) == 'ana'").unwrap_err();
    assert!(error.allowed.contains(&"startsWith"), "{error:?}");
}

#[test]
fn given_what_would_cost_too_much_when_it_is_read_then_it_is_refused() {
    let nested = "event.data.tags.exists(t, event.data.tags.exists(u, u.n == t.n))";
    assert!(refused(nested).2.contains("may not stand within another"), "{:?}", refused(nested));
    assert!(Expression::parse("event.data.tags.filter(t, t.n > 'a').exists(t, t.n == 'y')").is_ok());
    let long = format!("event.actor == '{}'", "a".repeat(FILTER_CHARS_MAX));
    assert_eq!(refused(&long).0, FILTER_CHARS_MAX);
    for deep in
        ["(".repeat(400) + "true" + &")".repeat(400), "[".repeat(900), "!".repeat(900) + "true", "-".repeat(999)]
    {
        assert!(Expression::parse(&deep).is_err() || deep.starts_with('!') || deep.starts_with('-'), "{deep}");
    }
    let wide = vec!["event.lane == '3'"; 45].join(" && ");
    assert_eq!(asked(&wide), Ok(true));
}

#[test]
fn given_many_events_when_time_or_room_is_short_then_it_stops_and_says_where() {
    let rows = |count: u64| -> Vec<Row> {
        let row = |seq| Row { position: Position::at(seq), json: format!(r#"{{"n":{seq}}}"#) };
        (1..=count).map(row).collect()
    };
    let odd = Expression::parse("event.n % 2 == 1").unwrap();
    let later = Instant::now() + Duration::from_secs(60);
    let sifted = odd.sift(rows(10), 3, 100, later);
    assert_eq!((sifted.kept.len(), sifted.last, sifted.told.examined), (3, Some(Position::at(5)), 5));
    let sifted = odd.sift(rows(10), 30, 4, later);
    assert_eq!((sifted.kept.len(), sifted.last), (2, Some(Position::at(4))));
    // It is late already: one is asked all the same, so that the next page goes on.
    let sifted = odd.sift(rows(10), 30, 100, Instant::now());
    assert_eq!((sifted.kept.len(), sifted.last), (1, Some(Position::at(1))));
    let failing = Expression::parse("event.m == 1").unwrap();
    let told = failing.sift(rows(10), 30, 100, later).told;
    assert_eq!((told.examined, told.failed), (10, 10));
    assert!(told.reason.is_some());
}
