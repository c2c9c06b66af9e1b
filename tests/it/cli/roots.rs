//! Several roots in one repository, deployed to the same place.

use serde_json::Value;

use super::project;
use crate::services::prefect::Server;
use crate::support::{Flowyard, Repo, Run, git};

const TEAMS: [&str; 2] = ["team-a", "team-b"];

#[tokio::test]
async fn each_of_two_roots_deploys_compares_and_removes_its_own() {
    let server = Server::shared();
    let (repo, storage) = (Repo::new(), tempfile::tempdir().expect("a folder"));
    // Everything of the two is alike, down to the paths of their projects.
    for team in TEAMS {
        project(&repo, &format!("{team}/p"), &format!("{team}-one"));
        project(&repo, &format!("{team}/p"), &format!("{team}-two"));
    }
    let first = repo.commit("Add two roots");
    let call = |team: &str, line: &str| -> Run {
        let line = format!("{line} --root {team}");
        let storage = format!("file://{}", storage.path().display());
        Flowyard::new(repo.path(), line.split(' '))
            .env("FLOWYARD_REPOSITORY", "acme/two-roots")
            .env("PREFECT_API_URL", server.api_url())
            .env("FLOWYARD_STORAGE_URL", storage)
            .run()
            .expect_code(0)
    };
    let state = || -> Value {
        let path = storage.path().join(".flowyard/state/default/applied.json");
        let text = std::fs::read(path).expect("the state");
        serde_json::from_slice(&text).expect("it is JSON")
    };
    let revisions = || -> Vec<(String, String)> {
        let state = state();
        let all = state["revisions"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        all.map(|one| (text(&one["root"]), text(&one["commit"])))
            .collect()
    };
    let recorded = |all: [&str; 2]| {
        let pairs = TEAMS.iter().zip(all);
        pairs
            .map(|(team, commit)| ((*team).to_owned(), commit.to_owned()))
            .collect::<Vec<_>>()
    };

    call("team-a", "deploy");
    let run = call("team-b", "deploy --since auto");
    assert!(run.stdout.contains("2 created"), "{}", run.snapshot());
    assert_eq!(revisions(), recorded([&first, &first]));
    repo.write("team-b/p/x.sql", "");
    let second = repo.commit("Change the second");
    let run = call("team-a", "deploy --since auto");
    assert!(run.stdout.contains("Nothing to do"), "{}", run.snapshot());
    let run = call("team-b", "deploy --since auto");
    assert!(run.stdout.contains("2 updated"), "{}", run.snapshot());
    assert_eq!(revisions(), recorded([&first, &second]));

    let run = call("team-b", "deploy --prune");
    assert!(run.stdout.contains("Nothing to do"), "{}", run.snapshot());
    repo.remove("team-a/p/team-a-two.deployment.yaml");
    let status = |team: &str| {
        let run = call(team, "status --format json");
        let json: Value = serde_json::from_str(&run.stdout).expect("JSON");
        let all = json["deployments"].as_array().expect("a list").iter();
        all.map(|one| format!("{} {}", one["id"], one["project"]).replace('"', ""))
            .collect::<Vec<_>>()
    };
    let run = call("team-a", "deploy --prune");
    assert!(
        run.stdout.contains("removed   hello/team-a-two"),
        "{}",
        run.snapshot()
    );
    assert_eq!(status("team-a"), ["hello/team-a-one p"]);
    assert_eq!(
        status("team-b"),
        ["hello/team-b-one p", "hello/team-b-two p"]
    );

    // From the top both are there, and a deploy makes no commit known that is not all of it.
    let run = call(".", "plan --prune");
    assert!(run.stdout.contains(" 0 to remove"), "{}", run.snapshot());
    git(repo.path(), &["checkout", "-q", "."]);
    repo.write("team-a/p/y.sql", "");
    let third = repo.commit("Change the first");
    call(".", "deploy");
    assert_eq!(revisions(), [(String::new(), third.clone())]);
    repo.write("team-b/p/y.sql", "");
    let fourth = repo.commit("Change the second again");
    call("team-b", "deploy --since auto");
    assert_eq!(revisions(), [("team-b".to_owned(), fourth)]);

    call("team-a", "destroy --yes");
    assert_eq!(
        status("team-b"),
        ["hello/team-b-one p", "hello/team-b-two p"]
    );
    let known = state()["deployments"].as_object().expect("a mapping").len();
    assert_eq!(known, 2);
}
