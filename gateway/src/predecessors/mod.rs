//! The wire contracts of the systems that Cabildo replaces, one file each: thin adapters over its own commands and queries.

pub(crate) mod band_contest;
