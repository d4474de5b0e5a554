use clap::CommandFactory as _;

#[test]
fn the_definition_is_sound() {
    super::Cli::command().debug_assert();
}
