// SPDX-License-Identifier: Apache-2.0
// ONNX forward graphs of image classifiers, node by node. Source: onnx/onnx.proto and the operator
// schemas of opset 13 to 21.
#include <algorithm>
#include <map>
#include <optional>

#include "node/imports/imported.hpp"
#include "proto/onnx.pb.h"
#include "training/numerics/functions.hpp"

namespace trainyard::node::imports {
namespace {

using training::GraphBuilder;
using training::Op;
using training::Ref;
using training::Shape;
using training::Tensor;

constexpr int kNodesMax = 4096;
constexpr int64_t kSideMax = 1024;
constexpr int64_t kElementsMax = int64_t{1} << 31;

/// A value of the ONNX graph in the program's layout: a map has height * width rows per image and
/// channels as columns; a row has one row per image.
struct Held {
    Ref ref;
    bool map = false;
    uint32_t height = 0, width = 0;
    uint32_t cols = 0;  ///< channels, or features of a row
};

/// Text of the fault; empty while all is well.
using Fault = std::string;

class Importer {
public:
    explicit Importer(const onnx::Graph& graph) : graph_(graph) {}

    Result<Imported, std::string> run() {
        if (graph_.node_size() == 0 || graph_.node_size() > kNodesMax)
            return unexpected(Fault("an ONNX graph of 1 to 4,096 nodes is due"));
        if (Fault fault = read_initializers(); !fault.empty()) return unexpected(fault);
        if (Fault fault = read_input(); !fault.empty()) return unexpected(fault);
        for (const auto& node : graph_.node()) {
            const Fault fault = convert(node);
            if (!fault.empty())
                return unexpected(
                    "node '" +
                    (node.name().empty() && node.output_size() > 0 ? node.output(0) : node.name()) +
                    "' (" + node.op_type() + "): " + fault);
        }
        if (graph_.output_size() != 1 || !values_.contains(graph_.output(0).name()))
            return unexpected(Fault("the graph must have one output, made by its nodes"));
        const Held& scores = values_[graph_.output(0).name()];
        if (scores.map) return unexpected(Fault("the output must be one row of scores per image"));
        b_.graph.emit(Op::cross_entropy, {scores.ref, GraphBuilder::targets()});
        return b_.finish(data_);
    }

private:
    /// Shape and elements of an initializer; refused unless they fit together.
    static std::optional<std::pair<std::vector<int64_t>, std::vector<float>>> numbers_of(
        const onnx::Tensor& t) {
        if (t.data_type() != 1 || t.data_location() != 0 || t.dims_size() > 4) return std::nullopt;
        int64_t count = 1;
        for (const int64_t d : t.dims()) {
            if (d < 1 || d > kElementsMax / count) return std::nullopt;
            count *= d;
        }
        std::vector<float> out;
        if (t.raw_data().empty()) {
            out.assign(t.float_data().begin(), t.float_data().end());
        } else {
            const auto* raw = reinterpret_cast<const uint8_t*>(t.raw_data().data());
            for (size_t i = 0; i + 4 <= t.raw_data().size(); i += 4)
                out.push_back(training::as_float(load_le<uint32_t>(raw + i)));
            if (t.raw_data().size() % 4 != 0) return std::nullopt;
        }
        if (out.size() != static_cast<size_t>(count)) return std::nullopt;
        for (const float x : out)
            if (training::is_nonfinite(x)) return std::nullopt;
        return std::pair{std::vector<int64_t>(t.dims().begin(), t.dims().end()), std::move(out)};
    }

    Fault read_initializers() {
        for (const auto& t : graph_.initializer()) {
            if (t.data_type() == 7) continue;  // shapes of Reshape: read where they are used
            auto numbers = numbers_of(t);
            if (!numbers)
                return "initializer '" + t.name() +
                       "': finite float32 inside the file, of rank 0 to 4, is due";
            weights_[t.name()] = std::move(*numbers);
        }
        return {};
    }

    Fault read_input() {
        for (const auto& input : graph_.input()) {
            if (weights_.contains(input.name())) continue;
            if (!values_.empty()) return "the graph must have one input, the images";
            std::vector<int64_t> dims;
            for (const auto& d : input.type().tensor_type().shape().dim())
                dims.push_back(d.dim_value());
            const bool image = dims.size() == 4;
            if (!image && dims.size() != 2)
                return "input '" + input.name() + "' must be N x C x H x W or N x features";
            for (size_t i = 1; i < dims.size(); ++i)
                if (dims[i] < 1 || dims[i] > (image ? kSideMax : 16384))
                    return "input '" + input.name() + "' has no fixed size of a supported range";
            data_.kind = training::DataKind::images;
            data_.channels = image ? static_cast<uint32_t>(dims[1]) : 1;
            data_.sequence = static_cast<uint32_t>(image ? dims[2] * dims[3] : dims[1]);
            Held held{GraphBuilder::input(), true, 1, data_.sequence, data_.channels};
            if (image)
                held.height = static_cast<uint32_t>(dims[2]),
                held.width = static_cast<uint32_t>(dims[3]);
            values_[input.name()] = image ? held : flat(held);
        }
        return values_.empty() ? "the graph has no input" : "";
    }

    /// One row per image in ONNX's order: channel by channel.
    Held flat(const Held& x) {
        if (!x.map) return x;
        const uint32_t positions = x.height * x.width;
        const Ref turned_map =
            x.cols == 1 ? x.ref : b_.graph.emit(Op::transpose, {x.ref}, {positions});
        Held out{{}, false, 0, 0, positions * x.cols};
        out.ref = b_.graph.emit(Op::reshape, {turned_map}, {out.cols});
        return out;
    }

    static const onnx::Attribute* attribute(const onnx::Node& node, const char* name) {
        for (const auto& a : node.attribute())
            if (a.name() == name) return &a;
        return nullptr;
    }
    static int64_t integer(const onnx::Node& node, const char* name, int64_t fallback) {
        const auto* a = attribute(node, name);
        return a == nullptr ? fallback : a->i();
    }
    static std::vector<int64_t> integers(const onnx::Node& node, const char* name,
                                         std::vector<int64_t> fallback) {
        const auto* a = attribute(node, name);
        return a == nullptr ? fallback : std::vector<int64_t>(a->ints().begin(), a->ints().end());
    }
    static bool all_equal(const std::vector<int64_t>& x, int64_t due) {
        return std::all_of(x.begin(), x.end(), [due](int64_t v) { return v == due; });
    }

    Fault convert(const onnx::Node& node) {
        if (node.input_size() < 1 || node.output_size() < 1)
            return "an input and an output are due";
        if (!values_.contains(node.input(0)))
            return "its first input '" + node.input(0) + "' is not made by an earlier node";
        const Held x = values_[node.input(0)];
        const std::string& type = node.op_type();
        Held y = x;
        Fault fault;
        if (type == "Identity" || type == "Dropout")
            ;  // passes
        else if (type == "Relu" || type == "Tanh" || type == "Gelu")
            y.ref = b_.graph.emit(type == "Relu"   ? Op::relu
                                  : type == "Tanh" ? Op::tanh
                                                   : Op::gelu,
                                  {x.ref});
        else if (type == "Flatten")
            fault = integer(node, "axis", 1) == 1 ? "" : "only axis 1 is supported", y = flat(x);
        else if (type == "Reshape")
            fault = reshapes_to_rows(node), y = fault.empty() ? flat(x) : x;
        else if (type == "Conv")
            fault = conv(node, x, y);
        else if (type == "Gemm" || type == "MatMul")
            fault = product(node, x, y);
        else if (type == "Add" || type == "Mul")
            fault = combine(node, x, y);
        else if (type == "GlobalAveragePool" || type == "AveragePool")
            fault = pool(node, x, y);
        else if (type == "LayerNormalization")
            fault = layer_norm(node, x, y);
        else
            fault =
                "the operator is not supported; supported are Conv, Gemm, MatMul, Add, Mul, Relu, "
                "Gelu, Tanh, LayerNormalization, AveragePool, GlobalAveragePool, Flatten, "
                "Reshape to rows, Identity, Dropout";
        if (fault.empty()) values_[node.output(0)] = y;
        return fault;
    }

    /// The shape must be (N or 0 or -1, rest or -1).
    Fault reshapes_to_rows(const onnx::Node& node) const {
        if (node.input_size() < 2) return "a constant shape is due";
        for (const auto& t : graph_.initializer()) {
            if (t.name() != node.input(1)) continue;
            const bool one = t.raw_data().size() == 16 || t.int64_data_size() == 2;
            return one ? "" : "only reshapes to one row per image are supported";
        }
        return "a constant shape is due";
    }

    Fault conv(const onnx::Node& node, const Held& x, Held& y) {
        const auto* w = node.input_size() > 1 ? weight(node.input(1)) : nullptr;
        if (!x.map || w == nullptr || w->first.size() != 4)
            return "an image and a constant kernel of rank 4 are due";
        const auto& d = w->first;  // outputs, channels, kernel, kernel
        const auto strides = integers(node, "strides", {1, 1});
        const auto pads = integers(node, "pads", {0, 0, 0, 0});
        if (d[1] != x.cols || d[2] != d[3] || d[2] > 64 || integer(node, "group", 1) != 1 ||
            !all_equal(integers(node, "dilations", {1, 1}), 1) || strides.size() != 2 ||
            pads.size() != 4 || !all_equal(strides, strides[0]) || !all_equal(pads, pads[0]) ||
            strides[0] < 1 || strides[0] > 64 || pads[0] < 0 || pads[0] >= d[2] ||
            (attribute(node, "auto_pad") != nullptr &&
             attribute(node, "auto_pad")->s() != "NOTSET"))
            return "square kernels, equal strides and pads below the kernel, no groups, no "
                   "dilation are due";
        const auto k = static_cast<uint32_t>(d[2]), stride = static_cast<uint32_t>(strides[0]);
        const auto pad = static_cast<uint32_t>(pads[0]), out = static_cast<uint32_t>(d[0]);
        if (x.height + 2 * pad < k || x.width + 2 * pad < k)
            return "the kernel is larger than the image";
        Tensor t = Tensor::zeros(Shape::matrix(k * k * x.cols, out));
        for (size_t o = 0; o < out; ++o)
            for (size_t c = 0; c < x.cols; ++c)
                for (size_t p = 0; p < size_t{k} * k; ++p)
                    t.data[(p * x.cols + c) * out + o] = w->second[(o * x.cols + c) * k * k + p];
        const Ref patches = b_.graph.emit(Op::im2col, {x.ref}, {x.height, x.width, k, stride, pad});
        y.ref = b_.graph.linear(patches, b_.parameter(node.input(1), std::move(t)));
        y.height = (x.height + 2 * pad - k) / stride + 1;
        y.width = (x.width + 2 * pad - k) / stride + 1;
        y.cols = out;
        return node.input_size() > 2 ? add_bias(node.input(2), y) : "";
    }

    Fault add_bias(const std::string& name, Held& y) {
        const auto* b = weight(name);
        if (b == nullptr || b->second.size() != y.cols)
            return "the bias must have one number per output";
        y.ref = b_.graph.emit(Op::broadcast_add,
                              {y.ref, b_.parameter(name, {Shape::vector(y.cols), b->second})}, {0});
        return {};
    }

    Fault product(const onnx::Node& node, const Held& x, Held& y) {
        const auto* w = node.input_size() > 1 ? weight(node.input(1)) : nullptr;
        if (x.map || w == nullptr || w->first.size() != 2)
            return "rows and a constant matrix are due";
        const auto real = [&node](const char* name) {
            const auto* a = attribute(node, name);
            return a == nullptr ? 1.0F : a->f();
        };
        if (real("alpha") != 1.0F || real("beta") != 1.0F || integer(node, "transA", 0) != 0)
            return "alpha and beta must be 1, and transA 0";
        Tensor t{
            Shape::matrix(static_cast<uint32_t>(w->first[0]), static_cast<uint32_t>(w->first[1])),
            w->second};
        if (integer(node, "transB", 0) == 1) t = turned(t);
        if (t.shape.rows != x.cols) return "the matrix does not fit the rows";
        y.cols = t.shape.cols;
        y.ref = b_.graph.linear(x.ref, b_.parameter(node.input(1), std::move(t)));
        return node.input_size() > 2 ? add_bias(node.input(2), y) : "";
    }

    Fault combine(const onnx::Node& node, const Held& x, Held& y) {
        if (node.input_size() != 2) return "two inputs are due";
        if (weight(node.input(1)) != nullptr)
            return node.op_type() == "Add" ? add_bias(node.input(1), y)
                                           : "a product with a constant is not supported";
        const auto other = values_.find(node.input(1));
        if (other == values_.end() || other->second.map != x.map || other->second.cols != x.cols ||
            other->second.height != x.height || other->second.width != x.width)
            return "both inputs must have one shape";
        y.ref =
            b_.graph.emit(node.op_type() == "Add" ? Op::add : Op::mul, {x.ref, other->second.ref});
        return {};
    }

    Fault pool(const onnx::Node& node, const Held& x, Held& y) {
        if (!x.map) return "an image is due";
        uint32_t high = x.height, wide = x.width;
        if (node.op_type() == "AveragePool") {
            const auto kernel = integers(node, "kernel_shape", {});
            if (kernel.size() != 2 || kernel[0] < 1 || kernel[1] < 1 || kernel[0] > x.height ||
                kernel[1] > x.width || x.height % kernel[0] != 0 || x.width % kernel[1] != 0 ||
                integers(node, "strides", {1, 1}) != kernel ||
                !all_equal(integers(node, "pads", {0}), 0))
                return "windows side by side, without padding, that divide the image are due";
            high = static_cast<uint32_t>(kernel[0]), wide = static_cast<uint32_t>(kernel[1]);
        }
        y.height = x.height / high, y.width = x.width / wide;
        const float mean = 1.0F / static_cast<float>(high * wide);
        y.ref = b_.graph.emit(Op::downsample, {x.ref},
                              {y.height, y.width, high, wide, training::bits_of(mean)});
        return {};
    }

    Fault layer_norm(const onnx::Node& node, const Held& x, Held& y) {
        const auto axis = integer(node, "axis", -1);
        if (x.map || (axis != -1 && axis != 1) || node.input_size() != 3)
            return "rows, the last axis, a scale and a bias are due";
        const auto *g = weight(node.input(1)), *b = weight(node.input(2));
        if (g == nullptr || b == nullptr || g->second.size() != x.cols ||
            b->second.size() != x.cols)
            return "scale and bias must be constants of one number per feature";
        const auto* eps = attribute(node, "epsilon");
        const Shape shape = Shape::vector(x.cols);
        y.ref = b_.graph.emit(Op::layer_norm,
                              {x.ref, b_.parameter(node.input(1), {shape, g->second}),
                               b_.parameter(node.input(2), {shape, b->second})},
                              {training::bits_of(eps == nullptr ? 1e-5F : eps->f())});
        return {};
    }

    using Weight = std::pair<std::vector<int64_t>, std::vector<float>>;
    [[nodiscard]] const Weight* weight(const std::string& name) const {
        const auto it = weights_.find(name);
        return it == weights_.end() ? nullptr : &it->second;
    }

    const onnx::Graph& graph_;
    WeightedBuilder b_;
    std::map<std::string, Weight> weights_;
    std::map<std::string, Held> values_;
    training::DataSpec data_;
};

}  // namespace

Result<Imported, std::string> import_onnx(BytesView file) {
    constexpr size_t kFileBytesMax = (size_t{1} << 31) - 1;  // Protobuf's own limit
    if (file.size() > kFileBytesMax)
        return unexpected(std::string("an ONNX file has at most 2 GiB"));
    onnx::Model model;
    // Protobuf would write its own words about a bad file to stderr, beside ours.
    const google::protobuf::LogSilencer silence;
    if (!model.ParseFromArray(file.data(), static_cast<int>(file.size())) || !model.has_graph())
        return unexpected(std::string("not an ONNX model"));
    return Importer(model.graph()).run();
}

}  // namespace trainyard::node::imports
