//! What a change reaches: the projects that need a file that changed, each with the shortest chain of files from it to
//! that file.
//!
//! A project needs what is in its folder; what its Python files import, directly or through others; its requirements with
//! the packages of the repository that they name; what its `.deployment.py` files read; the Dockerfiles of its images with what these copy; what else its
//! release holds; what its deployments name under `depends_on`; and what configures every project. What it needs in ways
//! that no file tells (data that a library opens, a module named by a variable) is for `depends_on`.

mod python;
mod requirements;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::code::{Area, Globs, takes};
use super::image::Copies;
use crate::discover::{Changes, Tree};
use crate::model::{By, Desired, Field, Link, Project, Reach, Recipe, RepoPath};
use python::Graph;
use requirements::{Needed, Reader};

/// What has changed, and what concerns every project.
pub struct Question<'a> {
    /// The files as they are, which `desired` was read from.
    pub tree: &'a Tree,
    /// What has changed since another revision.
    pub changes: &'a Changes,
    /// Folders whose code joins the release of every project that imports it.
    pub shared: &'a [RepoPath],
    /// Files that configure every project.
    pub configuration: &'a [RepoPath],
    /// Patterns, from the root, of files that every project depends on.
    pub depends_on: &'a [String],
}

/// How the changes reach each project, in their order; `None` for one that they do not reach. An error names a pattern of
/// [`Question::depends_on`] that is none.
pub fn reach(desired: &Desired, question: &Question<'_>) -> Result<Vec<Option<Reach>>, String> {
    let globs = Globs::default();
    let everywhere = question
        .depends_on
        .iter()
        .map(|text| {
            let area = globs.parse(&RepoPath::root(), text);
            area.map_err(|why| format!("`{text}`: {why}"))
        })
        .collect::<Result<Vec<Area>, String>>()?;
    if question.changes.paths.is_empty() {
        return Ok(vec![None; desired.projects.len()]);
    }
    let visible = |paths: &BTreeSet<RepoPath>| paths - &question.changes.ignored;
    let changes = Changes {
        paths: visible(&question.changes.paths),
        before: visible(&question.changes.before),
        ignored: BTreeSet::new(),
    };
    let graph = Graph::new(question.tree, &changes);
    let view = View {
        desired,
        question,
        followed: graph.has_changes(),
        graph,
        reader: Reader::new(question.tree, &changes),
        changes: &changes,
        globs,
        everywhere: [everywhere],
        projects: desired.projects.iter().map(|one| &one.path).collect(),
    };
    let found: Vec<(Option<Reach>, Vec<RepoPath>)> = desired
        .projects
        .par_iter()
        .map(|project| view.project(project))
        .collect();
    let (mut reached, projects): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    through_projects(desired, &mut reached, &projects);
    Ok(reached)
}

/// Reaches projects through other projects that they depend on, round by round, so that each gets its shortest chain.
fn through_projects(desired: &Desired, reached: &mut [Option<Reach>], needed: &[Vec<RepoPath>]) {
    let places: BTreeMap<&RepoPath, usize> = desired
        .projects
        .iter()
        .enumerate()
        .map(|(place, project)| (&project.path, place))
        .collect();
    loop {
        let mut next = Vec::new();
        for (place, projects) in needed.iter().enumerate() {
            let shortest = projects
                .iter()
                .filter(|_| reached[place].is_none())
                .filter_map(|path| Some((path, reached[*places.get(path)?].as_ref()?)))
                .min_by_key(|(_, reach)| reach.links.len());
            if let Some((path, reach)) = shortest {
                let mut links = vec![Link {
                    path: path.clone(),
                    by: By::Project,
                }];
                links.extend(reach.links.iter().cloned());
                next.push((place, Reach { links }));
            }
        }
        if next.is_empty() {
            return;
        }
        for (place, reach) in next {
            reached[place] = Some(reach);
        }
    }
}

struct View<'a> {
    desired: &'a Desired,
    question: &'a Question<'a>,
    /// Those that anything but the configuration can see.
    changes: &'a Changes,
    graph: Graph<'a>,
    /// Whether imports have to be followed at all.
    followed: bool,
    reader: Reader<'a>,
    globs: Globs,
    everywhere: [Vec<Area>; 1],
    /// The projects' paths.
    projects: BTreeSet<&'a RepoPath>,
}

impl View<'_> {
    /// How the changes reach a project by itself, and the other projects that it depends on.
    fn project(&self, project: &Project) -> (Option<Reach>, Vec<RepoPath>) {
        let needs = |by: By| -> Vec<Vec<Area>> {
            let needs = project.needs.iter().filter(|need| need.by == by);
            let areas = needs.map(|need| {
                // One that is no pattern is a fault of its file already.
                let areas = need.patterns.iter();
                areas
                    .filter_map(|text| self.globs.parse(&project.path, text).ok())
                    .collect()
            });
            areas.collect()
        };
        let (depends, included) = (needs(By::DependsOn), needs(By::Code));
        let named = depends.iter().flatten();
        let named = named.filter(|area| area.glob.is_none() && !area.negated);
        let projects: Vec<RepoPath> = named
            .map(|area| area.anchor.clone())
            .filter(|path| *path != project.path && self.projects.contains(path))
            .collect();
        let reach = self
            .by_folder(project)
            .or_else(|| self.by_needs(project, &depends, &included, &projects));
        (reach, projects)
    }

    fn by_folder(&self, project: &Project) -> Option<Reach> {
        // What is below a folder stands behind it, among what begins with its name.
        let paths = self.changes.paths.range(&project.path..);
        let folder = project.path.as_str();
        let mut near = paths.take_while(|path| path.as_str().starts_with(folder));
        let path = near.find(|path| path.below(&project.path).is_some())?;
        Some(alone(path, By::Folder))
    }

    fn by_needs(
        &self,
        project: &Project,
        depends: &[Vec<Area>],
        included: &[Vec<Area>],
        projects: &[RepoPath],
    ) -> Option<Reach> {
        let files = self.requirements_files(project);
        let needed = self.reader.needed(&project.path, &files);
        let roots = self.roots(project, &needed);
        let (own, held) = self.python_files(project);
        let outside = |path: &&RepoPath| path.below(&project.path).is_none();
        let shown: Vec<RepoPath> = own.iter().filter(outside).cloned().collect();
        self.by_import(&own, &shown, By::Code, &roots)
            .or_else(|| {
                self.first(By::Read, |path| {
                    let looked = &project.looked;
                    let mut folder = path.parent();
                    while let Some(one) = &folder {
                        if looked.get(one) == Some(&true) {
                            return true;
                        }
                        folder = one.parent();
                    }
                    looked.contains_key(path)
                })
            })
            .or_else(|| self.by_requirements(project, &needed))
            .or_else(|| self.by_image(project))
            .or_else(|| self.by_code(project, included))
            .or_else(|| self.by_import(&held, &held, By::Code, &roots))
            .or_else(|| self.by_depends_on(depends, projects, &roots))
            .or_else(|| {
                let changed = |path: &&RepoPath| self.question.changes.paths.contains(*path);
                let path = self.question.configuration.iter().find(changed)?;
                Some(alone(path, By::Configuration))
            })
            .or_else(|| self.by_depends_on(&self.everywhere, &[], &roots))
    }

    /// The first change that is wanted, as a chain of its own.
    fn first(&self, by: By, wanted: impl Fn(&RepoPath) -> bool) -> Option<Reach> {
        let path = self.changes.paths.iter().find(|path| wanted(path))?;
        Some(alone(path, by))
    }

    /// The Python files of a project: those that run or are read by themselves, and what else its release holds from
    /// outside of its folder.
    fn python_files(&self, project: &Project) -> (Vec<RepoPath>, Vec<RepoPath>) {
        if !self.followed {
            return (Vec::new(), Vec::new());
        }
        let base = project.code.base();
        let files = project.code.files().iter();
        let files = files.filter(|file| file.path.ends_with(".py"));
        let (mut own, held): (Vec<RepoPath>, Vec<RepoPath>) = files
            .map(|file| base.join(&file.path))
            .partition(|path| path.below(&project.path).is_some());
        own.extend(project.files.iter().cloned());
        own.extend(self.entrypoints(project));
        (own, held)
    }

    /// The files that deployments run.
    fn entrypoints(&self, project: &Project) -> BTreeSet<RepoPath> {
        let deployments = project.deployments.iter();
        let written = deployments.filter_map(|one| one.fields.get(&Field::Entrypoint)?.as_str());
        written
            .filter_map(|written| {
                let file = written.split(':').next().unwrap_or(written);
                // With pull steps of its own a path counts from wherever these lead, most often the root.
                let bases = [project.code.base(), &project.path, &RepoPath::root()];
                let mut paths = bases.iter().filter_map(|base| base.resolve(file));
                paths.find(|path| self.question.tree.position(path).is_some())
            })
            .collect()
    }

    /// Where Python looks for modules when it runs a project.
    fn roots(&self, project: &Project, needed: &[Needed]) -> Vec<RepoPath> {
        if !self.followed {
            return Vec::new();
        }
        let mut roots: Vec<RepoPath> = Vec::new();
        let mut add = |root: RepoPath| {
            if !roots.contains(&root) {
                roots.push(root);
            }
        };
        for file in self.entrypoints(project) {
            add(file.parent().unwrap_or_default());
        }
        add(project.path.clone());
        add(RepoPath::root());
        add(project.path.join("src"));
        add(RepoPath::new("src"));
        for package in needed.iter().filter(|one| one.folder) {
            add(package.path.join("src"));
            add(package.path.clone());
        }
        roots
    }

    /// The shortest chain of imports from some files; those of them that are `shown` are part of it.
    fn by_import(
        &self,
        from: &[RepoPath],
        shown: &[RepoPath],
        by: By,
        roots: &[RepoPath],
    ) -> Option<Reach> {
        if !self.followed || from.is_empty() {
            return None;
        }
        let (begin, chain) = self.graph.chain(from, roots)?;
        let begin = (chain.is_empty() || shown.contains(begin)).then(|| Link {
            path: begin.clone(),
            by,
        });
        let chain = chain.into_iter().map(|path| Link {
            path: path.clone(),
            by: By::Import,
        });
        Some(Reach {
            links: begin.into_iter().chain(chain).collect(),
        })
    }

    /// The files that say which packages a project needs.
    fn requirements_files(&self, project: &Project) -> Vec<RepoPath> {
        let mut files: Vec<RepoPath> = project.requirements.iter().cloned().collect();
        let own = ["requirements.txt", "pyproject.toml"].map(|name| project.path.join(name));
        let own = own.into_iter().filter(|path| !files.contains(path));
        let own: Vec<RepoPath> = own
            .filter(|path| self.question.tree.position(path).is_some())
            .collect();
        files.extend(own);
        files
    }

    fn by_requirements(&self, project: &Project, needed: &[Needed]) -> Option<Reach> {
        let inside = |path: &RepoPath| path.below(&project.path).is_some();
        let mut shortest: Option<Reach> = None;
        for one in needed {
            // Of a package around the project not everything is the project's.
            let whole = one.folder && project.path.below(&one.path).is_none();
            let changed = self.first(By::Requirements, |path| {
                *path == one.path || (whole && path.below(&one.path).is_some())
            });
            let Some(mut reach) = changed else {
                continue;
            };
            let mut at = one.from;
            while let Some(file) = at.map(|at| &needed[at]) {
                if !file.folder && !inside(&file.path) {
                    reach.links.push(Link {
                        path: file.path.clone(),
                        by: By::Requirements,
                    });
                }
                at = file.from;
            }
            reach.links.reverse();
            if shortest
                .as_ref()
                .is_none_or(|known| reach.links.len() < known.links.len())
            {
                shortest = Some(reach);
            }
        }
        shortest
    }

    fn by_image(&self, project: &Project) -> Option<Reach> {
        let keys = project.deployments.iter().flat_map(|one| &one.images);
        let keys: BTreeSet<&String> = keys.collect();
        let images = keys
            .into_iter()
            .filter_map(|key| self.desired.images.get(key));
        images
            .filter_map(|image| match &image.recipe {
                Recipe::Dockerfile(dockerfile) => Some(dockerfile),
                Recipe::Layers(_) | Recipe::Named => None,
            })
            .find_map(|dockerfile| {
                let copies = Copies::of_image(self.question.tree, dockerfile);
                let mut reach = self.first(By::Image, |path| copies.need(path))?;
                let outside = dockerfile.file.below(&project.path).is_none();
                if outside && reach.links.iter().all(|link| link.path != dockerfile.file) {
                    let link = Link {
                        path: dockerfile.file.clone(),
                        by: By::Image,
                    };
                    reach.links.insert(0, link);
                }
                Some(reach)
            })
    }

    /// What the release holds, or held.
    fn by_code(&self, project: &Project, included: &[Vec<Area>]) -> Option<Reach> {
        let base = project.code.base();
        let files = project.code.files();
        let holds = |path: &RepoPath| {
            path.below(base).is_some_and(|inside| {
                files
                    .binary_search_by(|file| file.path.as_str().cmp(inside))
                    .is_ok()
            })
        };
        let shared: Vec<&RepoPath> = self
            .question
            .shared
            .iter()
            .filter(|folder| {
                let held = |file| base.join(file).below(folder).is_some();
                files.iter().any(|file| held(&file.path))
            })
            .collect();
        self.first(By::Code, |path| {
            holds(path)
                || included.iter().flatten().any(|area| area.matches(path))
                || shared.iter().any(|folder| path.below(folder).is_some())
        })
    }

    /// What any of the lists of patterns names, and what the Python files among it import, without those of `projects`,
    /// which are told by themselves.
    fn by_depends_on(
        &self,
        patterns: &[Vec<Area>],
        projects: &[RepoPath],
        roots: &[RepoPath],
    ) -> Option<Reach> {
        if patterns.iter().all(Vec::is_empty) {
            return None;
        }
        let named = |path: &RepoPath| patterns.iter().any(|list| takes(list, path));
        let direct = self.first(By::DependsOn, named);
        if direct.is_some() || !self.followed {
            return direct;
        }
        let files = self.question.tree.entries().iter().map(|entry| &entry.path);
        let python: Vec<RepoPath> = files
            .filter(|path| path.as_str().ends_with(".py") && named(path))
            .filter(|path| projects.iter().all(|one| path.below(one).is_none()))
            .cloned()
            .collect();
        self.by_import(&python, &python, By::DependsOn, roots)
    }
}

/// A chain of one link.
fn alone(path: &RepoPath, by: By) -> Reach {
    Reach {
        links: vec![Link {
            path: path.clone(),
            by,
        }],
    }
}
