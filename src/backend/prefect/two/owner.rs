//! Our mark in Prefect 2, which has no labels: two tags, `flowyard:<repository>@<environment>`, by which people find all
//! that an environment has, and `flowyard.project:<path>`, `.` for the root.

use crate::model::{Owner, RepoPath};

const OWNER: &str = "flowyard:";
const PROJECT: &str = "flowyard.project:";

/// The tags that mark a deployment as ours.
pub(super) fn tags(owner: &Owner) -> [String; 2] {
    // The last `@` parts the two, so that the environment's name holds none.
    let environment = owner.environment.replace('%', "%25").replace('@', "%40");
    [
        format!("{OWNER}{}@{environment}", owner.repository),
        format!("{PROJECT}{}", owner.project),
    ]
}

/// The tags that are not ours, sorted and without repetition, and the mark; `None` where a part of it is missing.
pub(super) fn split(tags: &[String]) -> (Vec<String>, Option<Owner>) {
    let (mut others, mut whose, mut project) = (Vec::new(), None, None);
    for tag in tags {
        if let Some((repository, environment)) = tag
            .strip_prefix(OWNER)
            .and_then(|text| text.rsplit_once('@'))
        {
            let environment = environment.replace("%40", "@").replace("%25", "%");
            whose = Some((repository.to_owned(), environment));
        } else if let Some(path) = tag.strip_prefix(PROJECT) {
            project = Some(RepoPath::new(path));
        } else {
            others.push(tag.clone());
        }
    }
    others.sort();
    others.dedup();
    let owner = whose
        .zip(project)
        .map(|((repository, environment), project)| Owner {
            repository,
            environment,
            project,
        });
    (others, owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_goes_both_ways() {
        for (environment, project) in [("prod", "projects/news"), ("a@b%40", "")] {
            let owner = Owner {
                repository: "acme/flows".into(),
                environment: environment.into(),
                project: RepoPath::new(project),
            };
            let mut all = vec!["b".to_owned(), "a".to_owned(), "b".to_owned()];
            all.extend(tags(&owner));
            assert_eq!(split(&all), (vec!["a".into(), "b".into()], Some(owner)));
            all.pop();
            assert_eq!(split(&all), (vec!["a".into(), "b".into()], None));
        }
        let owner = Owner {
            repository: "acme/flows".into(),
            environment: "prod".into(),
            project: RepoPath::root(),
        };
        let marks = ["flowyard:acme/flows@prod", "flowyard.project:."];
        assert_eq!(tags(&owner), marks);
    }
}
