pub mod attributes;
pub mod yaml;
