//! A query cut into tokens, each with its place.

use super::BadQuery;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A run of characters without blanks, quotes and brackets.
    Bare(String),
    /// What stood between quotes, `\"` and `\\` taken back.
    Quoted(String),
    Open,
    Close,
}

/// A token and where it stands, in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) offset: usize,
    pub(super) length: usize,
    /// Whether nothing separates it from the token before.
    pub(super) joined: bool,
}

impl Token {
    pub(super) fn bad(&self, reason: impl Into<String>) -> BadQuery {
        BadQuery { offset: self.offset, length: self.length, reason: reason.into(), allowed: Vec::new() }
    }
}

pub(super) fn tokens(query: &str) -> Result<Vec<Token>, BadQuery> {
    let mut tokens = Vec::new();
    let mut rest = query.chars().enumerate().peekable();
    let mut joined = false;
    while let Some(&(offset, c)) = rest.peek() {
        if c.is_whitespace() {
            rest.next();
            joined = false;
            continue;
        }
        let (kind, length) = match c {
            '(' | ')' => {
                rest.next();
                (if c == '(' { Kind::Open } else { Kind::Close }, 1)
            }
            '"' => {
                rest.next();
                quoted(&mut rest, offset)?
            }
            _ => {
                let mut text = String::new();
                while let Some((_, c)) = rest.next_if(|(_, c)| !c.is_whitespace() && !"()\"".contains(*c)) {
                    text.push(c);
                }
                let length = text.chars().count();
                (Kind::Bare(text), length)
            }
        };
        tokens.push(Token { kind, offset, length, joined });
        joined = true;
    }
    Ok(tokens)
}

fn quoted(rest: &mut impl Iterator<Item = (usize, char)>, offset: usize) -> Result<(Kind, usize), BadQuery> {
    let (mut text, mut length, mut escaped) = (String::new(), 1, false);
    for (_, c) in rest {
        length += 1;
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return Ok((Kind::Quoted(text), length)),
            c => {
                // A backslash stands for itself before anything but a quote or another one.
                if escaped && c != '"' && c != '\\' {
                    text.push('\\');
                }
                text.push(c);
                escaped = false;
            }
        }
    }
    let reason = "the quote that begins here is never closed: add a \" at the end of the text".to_owned();
    Err(BadQuery { offset, length, reason, allowed: Vec::new() })
}
