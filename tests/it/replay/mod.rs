//! `cabildo replay`: a view made anew beside the live one, compared, read, given up.

mod buggy;
mod footing;
mod lists;
mod story;
mod tool;
