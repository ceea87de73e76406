//! Every place for counters and for documents passes its port's suite.

mod counters_on_redis;
mod credentials;
mod documents_on_mongodb;
mod embedded;
