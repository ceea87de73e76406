//! Arguments, environment, file; help and completions; exit codes.

use super::{cabildo, finish, run};

#[tokio::test]
async fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let tail = ["events", "tail"];
    run(path, &tail).await.expect(1).says("there is no journal in ./data");
    std::fs::write(path.join("cabildo.toml"), "data = \"from-file\"").unwrap();
    run(path, &tail).await.expect(1).says("from-file");
    let mut command = cabildo(path, &tail);
    command.env("CABILDO_DATA", "from-environment");
    finish(command).await.expect(1).says("from-environment");
    let mut command = cabildo(path, &["events", "tail", "--data", "from-flag"]);
    command.env("CABILDO_DATA", "from-environment");
    finish(command).await.expect(1).says("from-flag");
}

#[tokio::test]
async fn a_wrong_setting_is_a_usage_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (arguments, said) in [
        (&["up", "--listen", "0.0.0.0:0"][..], "--insecure-open"),
        (&["up", "--listen", "8080"], "IP:PORT"),
        (&["up", "--workers", "0"], "between 1 and 64"),
        (&["up", "--log", "a=b=c"], "log: `a=b=c`"),
        (&["up", "--colour"], "--colour"),
        (&["up", "--journal", "amqp://ana:s3cret@host"], "use file:DIR or nats://HOST:4222"),
        (&["gateway"], "an embedded journal serves one process"),
        (&["consumer"], "an embedded journal serves one process"),
        (&["consumer", "--journal", "nats://host"], "--counters redis://"),
        (&["events", "tail", "--from", "yesterday"], "a position (0-12)"),
        (&["events", "get", "twelve"], "neither a position (0-12)"),
        (&["produce", "votes", "--file", "none.csv", "--rate", "fast"], "500/s"),
        (&["--config", "none.toml", "doctor"], "none.toml"),
        (&[], "Usage: cabildo"),
    ] {
        let ran = run(path, arguments).await.expect(2).says(said);
        assert!(ran.out.is_empty() && !ran.err.contains("s3cret"), "{ran:?}");
    }
    std::fs::write(path.join("cabildo.toml"), "colour = 1").unwrap();
    run(path, &["doctor"]).await.expect(2).says("unknown field `colour`").says("`workers`").says("cabildo.toml");
    assert!(!path.join("data").exists(), "nothing is made before the settings are understood");
}

#[tokio::test]
async fn help_completions_and_the_manual_go_to_stdout() {
    let folder = tempfile::tempdir().unwrap();
    let help = run(folder.path(), &["--help"]).await.expect(0);
    for command in
        ["up", "gateway", "consumer", "produce", "events", "projections", "dashboards", "doctor", "completions", "man"]
    {
        assert!(help.out.contains(&format!("\n  {command} ")), "{command} is not in the help");
        let own = run(folder.path(), &[command, "--help"]).await.expect(0);
        assert!(own.out.contains(&format!("Usage: cabildo {command}")) && own.err.is_empty(), "{own:?}");
    }
    for (arguments, word) in [
        (&["completions", "bash"][..], "_cabildo()"),
        (&["completions", "zsh"], "#compdef cabildo"),
        (&["completions", "fish"], "complete -c cabildo"),
        (&["man"], ".TH cabildo"),
        (&["--version"], "cabildo 0."),
    ] {
        let ran = run(folder.path(), arguments).await.expect(0);
        assert!(ran.out.contains(word) && ran.err.is_empty(), "{arguments:?}");
    }
    let mut secret = cabildo(folder.path(), &["up", "--help"]);
    secret.env("CABILDO_JOURNAL", "nats://ana:s3cret@host");
    assert!(!finish(secret).await.expect(0).out.contains("s3cret"));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_exit_code_5_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let journal = format!("nats://ana:s3cret@127.0.0.1:{port}");
    let server = format!("http://127.0.0.1:{port}");
    let ballots = folder.path().join("v.csv");
    std::fs::write(&ballots, "name,album,year,rank\na,b,1,2\n").unwrap();
    for arguments in [
        &["events", "tail", "--journal", &journal][..],
        &["projections", "lag", "--journal", &journal],
        &["doctor", "--journal", &journal],
        &["produce", "votes", "--file", "v.csv", "--server", &server],
    ] {
        let ran = run(folder.path(), arguments).await.expect(5);
        assert!(!ran.err.contains("s3cret") && !ran.out.contains("s3cret"), "{ran:?}");
    }
}
