//! What a screen reader is told of every frame, after it was drawn.
//!
//! Icons are letters of a font of their own: they are for the eye, and are left out. Scroll bars get a name, and a list
//! that opens says what is chosen in it.

use std::collections::HashSet;

use eframe::egui::{
    Context, FullOutput, Plugin, Rect, Ui, accesskit,
    accesskit::{Node, NodeId, Orientation, Role, TreeUpdate},
};

/// Goes over what a screen reader is told.
pub(super) struct Spoken;

impl Plugin for Spoken {
    fn debug_name(&self) -> &'static str {
        "spoken"
    }

    fn output_hook(&mut self, _: &Context, output: &mut FullOutput) {
        if let Some(update) = &mut output.platform_output.accesskit_update {
            tidy(update);
        }
    }
}

/// What a node is, where the library does not know it.
pub(super) fn role(ui: &Ui, role: accesskit::Role) {
    ui.ctx().accesskit_node_builder(ui.unique_id(), |node| node.set_role(role));
}

/// Where a node is that the library does not know the place of.
pub(super) fn bounds(rect: Rect) -> accesskit::Rect {
    let [x0, y0, x1, y1] = [rect.min.x, rect.min.y, rect.max.x, rect.max.y].map(f64::from);
    accesskit::Rect { x0, y0, x1, y1 }
}

fn is_icon(letter: char) -> bool {
    ('\u{e000}'..='\u{f8ff}').contains(&letter)
}

fn without_icons(text: &str) -> String {
    text.replace(is_icon, "").trim().to_owned()
}

fn tidy(update: &mut TreeUpdate) {
    let mut gone: HashSet<NodeId> = HashSet::new();
    for (id, node) in &mut update.nodes {
        if let Some(text) = node.value().filter(|text| text.contains(is_icon)).map(without_icons) {
            if text.is_empty() && matches!(node.role(), Role::Label | Role::TextRun) {
                gone.insert(*id);
                gone.extend(node.children());
            }
            node.set_value(text);
        }
        if let Some(text) = node.label().filter(|text| text.contains(is_icon)).map(without_icons) {
            node.set_label(text);
        }
        match node.role() {
            Role::ScrollBar => name_bar(node),
            Role::ComboBox => {
                // Desktops read the description of such a list, and not its value.
                if let Some(value) = node.value().map(str::to_owned) {
                    node.set_description(value);
                }
            }
            _ => {}
        }
    }
    if gone.is_empty() {
        return;
    }
    update.nodes.retain(|(id, _)| !gone.contains(id));
    for (_, node) in &mut update.nodes {
        if node.children().iter().any(|child| gone.contains(child)) {
            let left: Vec<NodeId> = node.children().iter().copied().filter(|child| !gone.contains(child)).collect();
            node.set_children(left);
        }
    }
}

fn name_bar(node: &mut Node) {
    let is_upright = node.bounds().is_none_or(|bounds| bounds.height() > bounds.width());
    let (name, orientation) = match is_upright {
        true => ("Vertical scroll bar", Orientation::Vertical),
        false => ("Horizontal scroll bar", Orientation::Horizontal),
    };
    node.set_label(name);
    node.set_orientation(orientation);
}

#[cfg(test)]
mod tests {
    use super::*;
    use eframe::egui::accesskit::TreeId;

    fn node(role: Role, value: &str, children: &[u64]) -> Node {
        let mut node = Node::new(role);
        node.set_value(value);
        node.set_children(children.iter().copied().map(NodeId).collect::<Vec<_>>());
        node
    }

    #[test]
    fn icons_leave_the_tree_and_bars_and_lists_say_what_they_are() {
        let mut bar = Node::new(Role::ScrollBar);
        bar.set_bounds(accesskit::Rect { x0: 0.0, y0: 0.0, x1: 200.0, y1: 6.0 });
        let nodes = [
            (1, node(Role::Window, "", &[2, 4, 5, 6])),
            (2, node(Role::Label, "\u{e1a0}", &[3])),
            (3, node(Role::TextRun, "\u{e1a0}", &[])),
            (4, node(Role::Label, "\u{e1a0}  Home", &[])),
            (5, bar),
            (6, node(Role::ComboBox, "All kinds", &[])),
        ];
        let nodes = nodes.map(|(id, node)| (NodeId(id), node)).to_vec();
        let mut update = TreeUpdate { nodes, tree: None, tree_id: TreeId::ROOT, focus: NodeId(1) };
        tidy(&mut update);
        let ids: Vec<u64> = update.nodes.iter().map(|(id, _)| id.0).collect();
        assert_eq!(ids, [1, 4, 5, 6]);
        assert_eq!(update.nodes[0].1.children(), [NodeId(4), NodeId(5), NodeId(6)]);
        assert_eq!(update.nodes[1].1.value(), Some("Home"));
        assert_eq!(update.nodes[2].1.label(), Some("Horizontal scroll bar"));
        assert_eq!(update.nodes[3].1.description(), Some("All kinds"));
    }
}
