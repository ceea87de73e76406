//! From tokens to clauses.

use cabildo_events::Timestamp;
use cabildo_events::limits::{QUERY_CHARS_MAX, QUERY_VALUES_MAX};
use cabildo_storage::{Clause, Condition};

use super::field::{self, Field};
use super::token::{Kind, Token, tokens};
use super::{BadQuery, Clauses};

/// Reads a query.
///
/// # Errors
/// With the place of the first fault, and what would be right there.
pub(crate) fn parse(query: &str, now: Timestamp) -> Result<Clauses, BadQuery> {
    let length = query.chars().count();
    if length > QUERY_CHARS_MAX {
        let reason = format!("a query has at most {QUERY_CHARS_MAX} characters, this one {length}");
        return Err(BadQuery { offset: QUERY_CHARS_MAX, length: length - QUERY_CHARS_MAX, reason, allowed: Vec::new() });
    }
    let tokens = tokens(query)?;
    let mut reader = Reader { tokens: &tokens, now, end: length, values: 0 };
    let mut clauses = Vec::new();
    while let Some((first, rest)) = reader.tokens.split_first() {
        reader.tokens = rest;
        clauses.push(reader.term(first)?);
    }
    Ok(clauses)
}

struct Reader<'t> {
    tokens: &'t [Token],
    now: Timestamp,
    /// Characters of the query.
    end: usize,
    values: usize,
}

impl Reader<'_> {
    fn term(&mut self, first: &Token) -> Result<Clause, BadQuery> {
        match &first.kind {
            Kind::Close => Err(first.bad("there is no ( for this )")),
            Kind::Open => self.group(first, Field::Text).map(Clause::one_of),
            Kind::Quoted(text) => self.text(first, text, 0).map(Clause::only),
            Kind::Bare(word) => {
                let (negated, word) = word.strip_prefix('-').map_or((false, &**word), |word| (true, word));
                let any = self.after_sign(first, word, usize::from(negated))?;
                Ok(Clause { negated, any })
            }
        }
    }

    /// A term after its sign, which took `sign` characters of the token.
    fn after_sign(&mut self, token: &Token, word: &str, sign: usize) -> Result<Vec<Condition>, BadQuery> {
        if word.starts_with('-') {
            return Err(token.bad("one - negates: take the other out"));
        }
        if word.is_empty() {
            return match self.joined() {
                Some(next) => match &next.kind {
                    Kind::Quoted(text) => Ok(vec![self.text(&next, text, 0)?]),
                    Kind::Open => self.group(&next, Field::Text),
                    _ => Err(next.bad("expected what is not to be")),
                },
                None => Err(token.bad("a - stands right before what is not to be, for example -type:chat.*")),
            };
        }
        let Some((name, value)) = word.split_once(':') else {
            let advice = match word {
                "AND" => Some("everything asked for must hold already: take AND out"),
                "OR" => Some("alternatives are written field:(a OR b), or (one OR other) for words"),
                "NOT" => Some("a leading - negates, for example -type:chat.*"),
                _ => None,
            };
            return match advice {
                Some(advice) => Err(token.bad(format!("{advice}; to search for the word, put it in quotes"))),
                None => Ok(vec![self.text(token, word, sign)?]),
            };
        };
        let Some(field) = Field::named(name) else { return Err(unknown(token, name, sign)) };
        let before = sign + name.chars().count() + 1;
        if !value.is_empty() {
            return Ok(vec![self.value(token, field, value, before)?]);
        }
        match self.joined() {
            Some(next) => match &next.kind {
                Kind::Quoted(text) => Ok(vec![self.value(&next, field, text, 0)?]),
                Kind::Open => self.group(&next, field),
                _ => Err(next.bad(format!("expected a value of {name}"))),
            },
            None => {
                let offset = token.offset + token.length;
                let reason = format!("the value of {name} is missing: write it right after the colon");
                Err(BadQuery { offset, length: 0, reason, allowed: Vec::new() })
            }
        }
    }

    /// The next token, if it follows without a blank.
    fn joined(&mut self) -> Option<Token> {
        let (next, rest) = self.tokens.split_first()?;
        if !next.joined || next.kind == Kind::Close {
            return None;
        }
        self.tokens = rest;
        Some(next.clone())
    }

    /// What stands between brackets: values with `OR` between them.
    fn group(&mut self, open: &Token, field: Field) -> Result<Vec<Condition>, BadQuery> {
        let mut any = Vec::new();
        let mut wants_value = true;
        loop {
            let Some((token, rest)) = self.tokens.split_first() else {
                let reason = "the ( that begins here is never closed".to_owned();
                return Err(BadQuery { offset: open.offset, length: self.end - open.offset, reason, allowed: Vec::new() });
            };
            self.tokens = rest;
            match &token.kind {
                Kind::Close if !wants_value => return Ok(any),
                Kind::Close => return Err(token.bad("expected a value before the )")),
                Kind::Open => return Err(token.bad("brackets do not stand in brackets")),
                Kind::Bare(word) if word == "OR" => {
                    if wants_value {
                        return Err(token.bad("expected a value before OR"));
                    }
                    wants_value = true;
                }
                _ if !wants_value => return Err(token.bad("expected OR or )")),
                Kind::Bare(word) => {
                    any.push(self.value(token, field, word, 0)?);
                    wants_value = false;
                }
                Kind::Quoted(text) => {
                    any.push(self.value(token, field, text, 0)?);
                    wants_value = false;
                }
            }
        }
    }

    fn text(&mut self, token: &Token, text: &str, before: usize) -> Result<Condition, BadQuery> {
        self.value(token, Field::Text, text, before)
    }

    /// A value of a field; `before` characters of its token belong to the sign and the name.
    fn value(&mut self, token: &Token, field: Field, value: &str, before: usize) -> Result<Condition, BadQuery> {
        let (offset, length) = (token.offset + before, token.length - before);
        let bad = |reason| BadQuery { offset, length, reason, allowed: Vec::new() };
        self.values += 1;
        if self.values > QUERY_VALUES_MAX {
            return Err(bad(format!("a query asks at most {QUERY_VALUES_MAX} things: leave some out")));
        }
        let condition = if field == Field::Text { field::text(value) } else { field.condition(value, self.now) };
        condition.map_err(bad)
    }
}

fn unknown(token: &Token, name: &str, sign: usize) -> BadQuery {
    let nearest = Field::names().map(|known| (distance(name, known), known)).min();
    let hint = match nearest {
        Some((distance, known)) if distance <= 2 => format!("did you mean {known}?"),
        _ => "to search for the text, put it in quotes".to_owned(),
    };
    BadQuery {
        offset: token.offset + sign,
        length: name.chars().count(),
        reason: format!("there is no field `{name}`: {hint} The fields are {}", Field::names().collect::<Vec<_>>().join(", ")),
        allowed: Field::names().map(str::to_owned).collect(),
    }
}

/// How many letters have to be changed, added or taken away (Levenshtein). Both names are short: the query is.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
