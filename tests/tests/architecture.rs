//! The code is as ARCHITECTURE.md says: folders are layers, imports go one way and not in circles,
//! and the map names every module. In a file, imports are in the order of CONTRIBUTING.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{Item, UseTree, Visibility, visit::Visit};

/// The layers of adapter-core, from the top: a module imports from its own layer and from those
/// below. Modules in one line are one layer.
const LAYERS: [&[&str]; 9] = [
    &["adapter"],
    &["api"],
    &["socketio"],
    &["node"],
    &["inbound", "outbound"],
    &["observe"],
    &["options"],
    &["error"],
    &["backend"],
];

/// Modules that every layer may use.
const BASE: [&str; 3] = ["env", "queue", "sync"];

/// Modules that may use every layer, and that no layer uses.
const OUTSIDE: [&str; 4] = ["fuzz", "instances", "lib", "testing"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in a folder of the workspace").to_owned()
}

/// The source files below a folder, by their module: `node/shared`.
fn modules(source: &Path) -> BTreeMap<String, String> {
    let mut modules = BTreeMap::new();
    let mut folders = vec![source.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = path.strip_prefix(source).expect("it is below").with_extension("");
                let module = module.to_str().expect("its name is ASCII").replace('\\', "/");
                modules.insert(module, fs::read_to_string(&path).expect("a source file can be read"));
            }
        }
    }
    assert!(modules.len() > 5, "{} has no modules", source.display());
    modules
}

/// What a module declares: its imports by `crate::`, and the names that it re-exports from its
/// children.
#[derive(Default)]
struct Module {
    imports: Vec<Vec<String>>,
    handed_on: BTreeMap<String, Vec<String>>,
}

/// Every path of a tree: `a::{b, c::d}` has two.
fn paths(tree: &UseTree, before: &[String], found: &mut Vec<Vec<String>>) {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => paths(&path.tree, &with(&path.ident), found),
        UseTree::Name(name) if name.ident == "self" => found.push(before.to_owned()),
        UseTree::Name(name) => found.push(with(&name.ident)),
        UseTree::Rename(name) => found.push(with(&name.ident)),
        UseTree::Glob(_) => found.push(before.to_owned()),
        UseTree::Group(group) => group.items.iter().for_each(|tree| paths(tree, before, found)),
    }
}

impl Visit<'_> for Module {
    fn visit_item(&mut self, item: &Item) {
        // Tests of a module may import anything.
        let attributes = match item {
            Item::Mod(module) => &module.attrs,
            _ => &Vec::new(),
        };
        let is_test = |attribute: &syn::Attribute| {
            attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
        };
        if !attributes.iter().any(is_test) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        let mut found = Vec::new();
        paths(&item.tree, &[], &mut found);
        for path in found {
            match (path[0].as_str(), &item.vis) {
                ("crate", _) => self.imports.push(path[1..].to_vec()),
                ("self", Visibility::Public(_) | Visibility::Restricted(_)) => {
                    let name = path.last().expect("no path is empty").clone();
                    self.handed_on.insert(name, path[1..].to_vec());
                }
                _ => {}
            }
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        if path.segments.first().is_some_and(|first| first.ident == "crate") {
            self.imports.push(path.segments.iter().skip(1).map(|segment| segment.ident.to_string()).collect());
        }
        syn::visit::visit_path(self, path);
    }
}

/// The module that a path of names leads to, through re-exports.
fn resolve(path: &[String], modules: &BTreeMap<String, Module>) -> Option<String> {
    let mut module = path.first()?.clone();
    let mut rest = &path[1..];
    modules.get(&module)?;
    while let Some((name, after)) = rest.split_first() {
        let below = format!("{module}/{name}");
        if modules.contains_key(&below) {
            (module, rest) = (below, after);
        } else if let Some(handed_on) = modules[&module].handed_on.get(name) {
            let whole: Vec<_> = module.split('/').map(str::to_owned).chain(handed_on.iter().cloned()).collect();
            return resolve(&whole, modules);
        } else {
            break;
        }
    }
    Some(module)
}

/// Which module imports which others by `crate::`. An import by `super::` counts as the parent's.
fn imports(source: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let read = |text: &String| {
        let mut module = Module::default();
        module.visit_file(&syn::parse_file(text).expect("it compiles"));
        module
    };
    let read: BTreeMap<_, _> = modules(source).iter().map(|(name, text)| (name.clone(), read(text))).collect();
    let arrows = |(name, module): (&String, &Module)| {
        let targets = module.imports.iter().filter_map(|path| resolve(path, &read)).filter(|target| target != name);
        (name.clone(), targets.collect())
    };
    read.iter().map(arrows).collect()
}

fn core() -> PathBuf {
    workspace().join("adapter-core/src")
}

fn layer_of(module: &str) -> &str {
    module.split('/').next().unwrap_or(module)
}

#[test]
fn every_module_of_the_core_has_a_layer_and_imports_only_from_its_own_and_those_below() {
    let height = |module: &str| LAYERS.iter().position(|layer| layer.contains(&layer_of(module)));
    let mut wrong = Vec::new();
    let mut count = 0;
    for (module, targets) in imports(&core()) {
        if OUTSIDE.contains(&layer_of(&module)) {
            continue;
        }
        let from = height(&module);
        if from.is_none() && !BASE.contains(&layer_of(&module)) {
            wrong.push(format!("{module} is in no layer: put it into a folder, or the folder into LAYERS"));
        }
        for target in targets {
            count += 1;
            let is_fine = match (from, height(&target)) {
                _ if OUTSIDE.contains(&layer_of(&target)) => false,
                (_, None) => true,
                (None, Some(_)) => false,
                (Some(from), Some(to)) => from < to || layer_of(&module) == layer_of(&target),
            };
            if !is_fine {
                wrong.push(format!("{module} imports {target}"));
            }
        }
    }
    assert!(wrong.is_empty(), "against the layers of ARCHITECTURE.md:\n{}", wrong.join("\n"));
    assert!(count > 100, "only {count} imports were found");
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    for package in ["protocol", "adapter-core", "connection", "adapter-tokio-postgres", "adapter-diesel"] {
        let mut arrows = imports(&workspace().join(package).join("src"));
        arrows.retain(|module, _| module != "lib");
        // The modules that each module reaches, in any number of steps.
        let mut reached = arrows.clone();
        loop {
            let before: usize = reached.values().map(BTreeSet::len).sum();
            let further = reached.clone();
            for targets in reached.values_mut() {
                let more: Vec<_> = targets.iter().filter_map(|target| further.get(target)).flatten().cloned().collect();
                targets.extend(more);
            }
            if before == reached.values().map(BTreeSet::len).sum() {
                break;
            }
        }
        let leads_back = |from: &String, to: &String| reached.get(to).is_some_and(|targets| targets.contains(from));
        for (module, targets) in &mut arrows {
            targets.retain(|target| leads_back(module, target));
        }
        arrows.retain(|_, targets| !targets.is_empty());
        assert!(arrows.is_empty(), "circles in {package}: {arrows:#?}");
    }
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    for package in [
        "protocol",
        "adapter-core",
        "connection",
        "adapter-tokio-postgres",
        "adapter-diesel",
        "tests",
        "demo",
        "examples",
        "bench",
        "fuzz",
    ] {
        for (module, text) in modules(&workspace().join(package).join("src")) {
            assert!(text.starts_with("//! "), "{package}/src/{module}.rs does not say what it is for");
        }
    }
}

/// The first import that is not in its place: the standard library, other crates, this crate, with
/// an empty line between them. A `pub use`, or any other item, begins a new list.
fn misplaced_import(text: &str) -> Option<&str> {
    let is_own = |name: &str| {
        let declaration = format!("mod {name};");
        text.lines().any(|line| line.strip_suffix(&declaration).is_some_and(|before| !before.contains("//")))
    };
    let mut last = None;
    let mut is_apart = false;
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("use ") {
            let group = match path.split([':', ';', ' ']).next().unwrap_or_default() {
                "std" | "core" | "alloc" => 0,
                "crate" | "super" | "self" => 2,
                name if is_own(name) => 2,
                _ => 1,
            };
            if last.is_some_and(|last| last > group || last < group && !is_apart) {
                return Some(line);
            }
            last = Some(group);
        } else if !(line.is_empty() || line.starts_with([' ', '}', '#', '/'])) {
            last = None;
        }
        is_apart = line.is_empty() || is_apart && line.starts_with(['#', '/']);
    }
    None
}

#[test]
fn imports_are_in_the_order_of_the_contributing_page() {
    let mut files = 0;
    let mut wrong = Vec::new();
    let mut folders = vec![workspace()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a folder can be listed").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !["target", "node_modules"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") {
                files += 1;
                let text = fs::read_to_string(&path).expect("a source file can be read");
                wrong.extend(misplaced_import(&text).map(|line| format!("{}: {line}", path.display())));
            }
        }
    }
    assert!(files > 500, "only {files} files were found");
    assert!(wrong.is_empty(), "imports that are out of order:\n{}", wrong.join("\n"));
}

/// The modules that a section of ARCHITECTURE.md lists: the first column of its table.
fn listed(section: &str) -> BTreeSet<String> {
    let page = fs::read_to_string(workspace().join("ARCHITECTURE.md")).expect("the page is there");
    let (_, rest) = page.split_once(&format!("\n### {section}\n")).unwrap_or_else(|| panic!("no section {section}"));
    let section = rest.split("\n#").next().unwrap_or_default();
    let first_column = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let names = first_column.flat_map(|cell| cell.split('`').step_by(2));
    names.map(|name| name.trim_end_matches('/').to_owned()).filter(|name| !name.is_empty()).collect()
}

#[test]
fn the_map_names_the_layers_and_their_modules() {
    let there = |depth: usize, source: &Path| -> BTreeSet<String> {
        let names = modules(source).into_keys().filter(|module| module != "lib" && !module.starts_with("bin/"));
        let depth = |module: &str| if BASE.contains(&layer_of(module)) { 1 } else { depth };
        names.map(|module| module.split('/').take(depth(&module)).collect::<Vec<_>>().join("/")).collect()
    };
    assert_eq!(listed("protocol"), there(1, &workspace().join("protocol/src")));
    let there = there(2, &core());
    // The modules in a folder stand for the folder.
    let folders: BTreeSet<_> =
        there.iter().filter_map(|module| module.split_once('/')).map(|(folder, _)| folder).collect();
    let there: BTreeSet<_> = there.iter().filter(|module| !folders.contains(module.as_str())).cloned().collect();
    assert_eq!(listed("adapter-core"), there);
}
