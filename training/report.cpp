// SPDX-License-Identifier: Apache-2.0
// Texts for people: plain string building, no files.
#include "training/report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "training/graph.hpp"

namespace trainyard::training {

namespace {

constexpr double kWidth = 720, kHeight = 360, kLeft = 56, kRight = 16, kTop = 40, kBottom = 36;

std::string fixed(double x, int digits) {
    char text[64];
    std::snprintf(text, sizeof(text), "%.*f", digits, x);
    return text;
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '<')
            out += "&lt;";
        else if (c == '&')
            out += "&amp;";
        else if (c == '"')
            out += "&quot;";
        else
            out += c;
    }
    return out;
}

struct Axes {
    double step_max = 1, low = 0, high = 1;
    [[nodiscard]] double x(double step) const {
        return kLeft + step / step_max * (kWidth - kLeft - kRight);
    }
    [[nodiscard]] double y(double loss) const {
        return kTop + (high - loss) / (high - low) * (kHeight - kTop - kBottom);
    }
};

Axes axes_of(const std::vector<LossPoint>& points) {
    Axes axes;
    if (points.empty()) return axes;
    double low = points[0].loss, high = points[0].loss;
    for (const LossPoint& p : points) {
        axes.step_max = std::max(axes.step_max, static_cast<double>(p.step));
        if (!std::isfinite(p.loss)) continue;
        low = std::min(low, static_cast<double>(p.loss));
        high = std::max(high, static_cast<double>(p.loss));
    }
    axes.low = std::floor(low * 2) / 2;
    axes.high = std::max(axes.low + 0.5, std::ceil(high * 2) / 2);
    return axes;
}

std::string text_at(double x, double y, std::string_view anchor, std::string_view text) {
    return "<text x=\"" + fixed(x, 1) + "\" y=\"" + fixed(y, 1) + "\" text-anchor=\"" +
           std::string(anchor) + "\">" + escaped(text) + "</text>\n";
}

std::string grid(const Axes& axes) {
    std::string out;
    constexpr int kLines = 5;
    for (int i = 0; i <= kLines; ++i) {
        const double loss = axes.low + (axes.high - axes.low) * i / kLines;
        const std::string y = fixed(axes.y(loss), 1);
        out += "<line class=\"g\" x1=\"" + fixed(kLeft, 1) + "\" y1=\"" + y + "\" x2=\"" +
               fixed(kWidth - kRight, 1) + "\" y2=\"" + y + "\"/>\n";
        out += text_at(kLeft - 8, axes.y(loss) + 4, "end", fixed(loss, 2));
        const double step = std::floor(axes.step_max * i / kLines);
        out += text_at(axes.x(step), kHeight - kBottom + 20, "middle", fixed(step, 0));
    }
    return out;
}

uint32_t count_of(const Program& program, Op op) {
    return static_cast<uint32_t>(std::count_if(program.nodes.begin(), program.nodes.end(),
                                               [op](const Node& n) { return n.op == op; }));
}

}  // namespace

std::string loss_svg(const std::vector<LossPoint>& points, std::string_view title) {
    const Axes axes = axes_of(points);
    std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " +
                      fixed(kWidth, 0) + " " + fixed(kHeight, 0) +
                      "\" role=\"img\" font-family=\"system-ui,sans-serif\" font-size=\"12\">\n"
                      "<style>text{fill:#444}.g{stroke:#8884;stroke-width:1}"
                      ".l{fill:none;stroke:#2563eb;stroke-width:2;stroke-linejoin:round}"
                      "@media(prefers-color-scheme:dark){text{fill:#ccc}.l{stroke:#60a5fa}}"
                      "</style>\n";
    out += "<title>" + escaped(title) + "</title>\n";
    out += text_at(kLeft, 22, "start", title) + grid(axes);
    out += "<polyline class=\"l\" points=\"";
    for (const LossPoint& p : points)
        if (std::isfinite(p.loss))
            out += fixed(axes.x(p.step), 1) + "," + fixed(axes.y(p.loss), 1) + " ";
    out += "\"/>\n";
    if (!points.empty())
        out += text_at(kWidth - kRight, 22, "end",
                       "step " + std::to_string(points.back().step) + ": loss " +
                           fixed(points.back().loss, 4));
    return out + "</svg>\n";
}

std::string loss_csv(const std::vector<LossPoint>& points) {
    std::string out = "step,loss\n";
    for (const LossPoint& p : points) out += std::to_string(p.step) + "," + fixed(p.loss, 6) + "\n";
    return out;
}

namespace {

std::string field(const char* name, uint32_t value) {
    return std::string("  \"") + name + "\": " + std::to_string(value) + ",\n";
}

/// Programs of images: what goes in and how many numbers come out of a row.
std::string image_config(const Program& program) {
    const auto graph = forward_graph(program, 1, program.data.sequence);
    const uint32_t outputs = graph ? graph->values[program.nodes.back().inputs[0]].shape.cols : 0;
    const bool classifier = program.nodes.back().op == Op::cross_entropy;
    return std::string("{\n  \"model_type\": \"trainyard-") +
           (classifier ? "image-classifier" : "denoiser") + "\",\n" +
           field("image_positions", program.data.sequence) +
           field("num_channels", program.data.channels) +
           field(classifier ? "num_labels" : "out_channels", outputs);
}

std::string text_config(const Program& program) {
    uint32_t heads = 0, width = 0, vocabulary = 0;
    const auto graph = forward_graph(program, 1, program.data.sequence);
    for (const Node& node : program.nodes) {
        if (node.op == Op::attention) heads = node.attributes[0];
        if (graph && (node.op == Op::embedding || node.op == Op::lookup)) {
            const Shape e = graph->values[node.inputs[1]].shape;
            vocabulary = e.rows;
            width = e.cols;
        }
    }
    const std::string tokenizer = program.data.kind == DataKind::bytes
                                      ? "bytes"
                                      : std::to_string(program.tokenizer.merges.size()) + " merges";
    return "{\n  \"model_type\": \"trainyard-gpt\",\n"
           "  \"architectures\": [\"TrainyardGpt\"],\n" +
           field("num_hidden_layers", count_of(program, Op::attention)) +
           field("hidden_size", width) + field("num_attention_heads", heads) +
           field("intermediate_size", 4 * width) +
           field("max_position_embeddings", program.data.sequence) +
           field("vocab_size", vocabulary) +
           "  \"hidden_act\": \"gelu_tanh\",\n"
           "  \"rms_norm_eps\": 1e-05,\n"
           "  \"tokenizer\": \"" +
           tokenizer + "\",\n";
}

/// Hugging Face's name for what the model does, and the unit of its loss.
struct Purpose {
    const char* task;
    const char* unit;
};

Purpose purpose_of(const Program& program) {
    if (program.nodes.back().op == Op::mean_square)
        return {"unconditional-image-generation", "mean square"};
    if (program.data.kind == DataKind::images) return {"image-classification", "nats per image"};
    return {"text-generation",
            program.data.kind == DataKind::bytes ? "nats per byte" : "nats per token"};
}

}  // namespace

std::string hugging_face_config(const Program& program) {
    const bool images = program.data.kind == DataKind::images;
    return (images ? image_config(program) : text_config(program)) +
           "  \"torch_dtype\": \"float32\",\n"
           "  \"recipe\": \"" +
           (program.recipe == Recipe::rmp1 ? "rmp-1" : "fp32") + "\"\n}\n";
}

void describe_purpose(ModelCard& card, const Program& program) {
    const Purpose purpose = purpose_of(program);
    card.task = purpose.task;
    card.unit = purpose.unit;
}

std::string model_card(const ModelCard& card) {
    std::string out = "---\nlibrary_name: trainyard\npipeline_tag: " + card.task +
                      "\nlicense: " + card.licence +
                      "\ntags:\n- trainyard\n- verifiable-training\n---\n\n# " + card.name +
                      "\n\nTrained on Trainyard: every step was committed to a ledger, audited by "
                      "replay and can be\nrepeated bit for bit by anyone with the program and the "
                      "data.\n\n| | |\n|---|---|\n";
    const auto row = [&out](std::string_view name, std::string_view value) {
        out += "| " + std::string(name) + " | " + std::string(value) + " |\n";
    };
    row("program", to_hex0x(card.program.bytes));
    row("data root", to_hex0x(card.data_root.bytes));
    row("final state root", to_hex0x(card.state_root.bytes));
    row("training loss (" + card.unit + ")", fixed(card.train_loss, 4));
    if (card.held_out_loss) row("held-out loss (" + card.unit + ")", fixed(*card.held_out_loss, 4));
    for (const auto& [name, value] : card.facts) row(name, value);
    return out;
}

}  // namespace trainyard::training
