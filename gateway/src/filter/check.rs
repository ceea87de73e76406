//! What an expression may hold: bounds and names, each fault with its place.

use cel::Program;
use cel::common::ast::{EntryExpr, Expr, IdedExpr, SourceInfo};

use super::BadExpression;

/// What may be called. Operators are calls too, by names of their own.
const FUNCTIONS: [&str; 28] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "int",
    "matches",
    "max",
    "min",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "type",
    "uint",
    "has",
];
/// The names of types, which an expression may compare with what `type` gives.
const TYPES: [&str; 10] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// Where brackets are nested too deep for the parser to be let loose on them, in characters; those in quotes count too.
pub(super) fn too_deep(text: &str, most: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, letter) in text.chars().enumerate() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > most {
            return Some(offset);
        }
    }
    None
}

/// A parser's line and column, both from 1, as characters from the beginning.
pub(super) fn offset(text: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line.max(1)).unwrap_or(1);
    let column = usize::try_from(column.max(1)).unwrap_or(1);
    text.split_inclusive('\n').take(line - 1).map(|line| line.chars().count()).sum::<usize>() + column - 1
}

/// A parser's message without what it says of its own insides.
pub(super) fn in_words(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    match message.split_once(" expecting ") {
        Some((what, _)) => {
            format!("{what}, which does not belong here").replace("'<EOF>', which does not", "the end, which does not")
        }
        None => message.to_owned(),
    }
}

/// Finds what is unknown, or would cost too much.
pub(super) fn check(program: &Program, text: &str) -> Result<(), BadExpression> {
    let mut walk = Walk { source: program.source_info(), text, names: vec![], macros: 0 };
    walk.look(program.expression())
}

struct Walk<'p> {
    source: &'p SourceInfo,
    text: &'p str,
    /// What macros have named, from the outside in.
    names: Vec<&'p str>,
    /// How many macros one is within.
    macros: usize,
}

impl<'p> Walk<'p> {
    fn bad(&self, id: u64, reason: String, allowed: &'static [&'static str]) -> BadExpression {
        let (start, stop) = self.source.offset_for(id).unwrap_or_default();
        let chars = |bytes: u32| {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            self.text.char_indices().take_while(|(at, _)| *at < bytes).count()
        };
        let (start, stop) = (chars(start), chars(stop.saturating_add(1)));
        BadExpression { offset: start, length: stop.saturating_sub(start).max(1), reason, allowed }
    }

    fn look(&mut self, expression: &'p IdedExpr) -> Result<(), BadExpression> {
        let id = expression.id;
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => {
                let known = name == "event" || self.names.contains(&name.as_str()) || TYPES.contains(&name.as_str());
                if known || name.starts_with('@') {
                    return Ok(());
                }
                Err(self.bad(id, format!("there is no `{name}`: what is asked about is `event`"), &["event"]))
            }
            Expr::Call(call) => {
                let name = call.func_name.as_str();
                let is_operator = name.starts_with(['_', '@', '!', '-']);
                if !is_operator && !FUNCTIONS.contains(&name) {
                    return Err(self.bad(id, format!("there is no function `{name}`"), &FUNCTIONS));
                }
                call.target.iter().map(|target| &**target).chain(&call.args).try_for_each(|each| self.look(each))
            }
            Expr::Comprehension(each) => {
                self.look(&each.iter_range)?;
                if self.macros > 0 {
                    let reason = "a macro (all, exists, exists_one, map, filter) may not stand within another: it would be \
                                  asked too often";
                    return Err(self.bad(id, reason.to_owned(), &[]));
                }
                self.look(&each.accu_init)?;
                let names = self.names.len();
                self.names.extend([each.iter_var.as_str(), each.accu_var.as_str()]);
                self.names.extend(each.iter_var2.as_deref());
                self.macros += 1;
                let inner = [&each.loop_cond, &each.loop_step, &each.result];
                inner.into_iter().try_for_each(|inner| self.look(inner))?;
                self.macros -= 1;
                self.names.truncate(names);
                Ok(())
            }
            Expr::List(list) => list.elements.iter().try_for_each(|each| self.look(each)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| self.entry(&entry.expr)),
            Expr::Select(select) => self.look(&select.operand),
            Expr::Struct(made) => Err(self.bad(id, format!("there is no type `{}`", made.type_name), &[])),
        }
    }

    fn entry(&mut self, entry: &'p EntryExpr) -> Result<(), BadExpression> {
        match entry {
            EntryExpr::MapEntry(entry) => {
                self.look(&entry.key)?;
                self.look(&entry.value)
            }
            EntryExpr::StructField(field) => self.look(&field.value),
        }
    }
}
