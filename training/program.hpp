// SPDX-License-Identifier: Apache-2.0
// Training programs: everything that determines a run, their canonical encoding and their limits.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "training/backend.hpp"
#include "training/tensor.hpp"

namespace trainyard::training {

/// Operators of forward and backward graphs. The numbers stand in encoded programs.
/// Inputs -> outputs; attributes. docs/spec/training.md, section 2.
enum class Op : uint8_t {
    embedding = 1,      ///< tokens, e, pos -> x
    rms_norm = 2,       ///< x, g -> y, r
    linear = 3,         ///< x, w -> y; noise id
    attention = 4,      ///< qkv -> out, stats; heads, noise id of dO, noise id of dS
    add = 5,            ///< a, b -> y
    gelu = 6,           ///< u -> y
    cross_entropy = 7,  ///< z, targets -> losses
    // Only in derived graphs, never in an encoded program:
    embedding_grad = 65,      ///< d, tokens -> de, dpos
    rms_norm_grad = 66,       ///< dy, x, r, g (, dx_in) -> dx, dg
    linear_grad = 67,         ///< dy, x, w -> dx, dw; noise id
    attention_grad = 68,      ///< d_out, out, stats, qkv -> dqkv; as attention
    gelu_grad = 70,           ///< da, u -> du
    cross_entropy_grad = 71,  ///< z, targets -> dz
};

enum class ValueKind : uint8_t { tokens = 0, targets = 1, parameter = 2, activation = 3 };

/// An edge of the graph. Shapes of activations follow from the operators (infer_shapes).
struct Value {
    ValueKind kind = ValueKind::activation;
    Shape shape;
    bool operator==(const Value&) const = default;
};

struct Node {
    Op op = Op::add;
    std::vector<uint32_t> inputs;      ///< value numbers, all produced earlier
    std::vector<uint32_t> outputs;     ///< value numbers, each produced once
    std::vector<uint32_t> attributes;  ///< as the operator says
    bool operator==(const Node&) const = default;
};

struct Graph {
    std::vector<Value> values;
    std::vector<Node> nodes;
    bool operator==(const Graph&) const = default;
};

enum class Init : uint8_t { zeros = 0, ones = 1, normal = 2 };

/// Parameter k is value 2 + k of the graph; values 0 and 1 are tokens and targets.
struct Parameter {
    std::string name;  ///< 1..64 of [a-z0-9._], unique; the tensor's name in model.safetensors
    Shape shape;
    bool decay = false;
    Init init = Init::zeros;
    uint32_t init_scale_bits = 0;  ///< normal: factor of the centred sum of eight 16-bit words
    bool operator==(const Parameter&) const = default;
};

/// AdamW with the global norm clipped to 1: docs/spec/numerics.md, section 11.
struct Optimiser {
    uint32_t b1_bits = 0;
    uint32_t b2_bits = 0;
    uint32_t eps_bits = 0;
    uint32_t decay_bits = 0;
    std::vector<uint32_t> lr_bits;  ///< one binary32 per step
    bool operator==(const Optimiser&) const = default;
};

/// Records are `sequence + 1` bytes; record r starts at byte r * stride. `held_out` of them, spread
/// evenly, are never trained on: a data set is often files one after the other, and its end is
/// then another text than the rest. With held-out records the stride is at least `sequence`, so
/// that no byte to be predicted is held out and trained on.
struct DataSpec {
    Hash root;  ///< identity of the data set; whoever hands in the bytes has checked it
    uint64_t size_bytes = 0;
    uint32_t sequence = 0;  ///< T, input tokens of a record
    uint32_t stride = 0;
    uint32_t held_out = 0;  ///< records, a multiple of RunSpec::sequences
    bool operator==(const DataSpec&) const = default;
};

struct RunSpec {
    uint32_t steps = 0;
    uint32_t micro_batches = 1;   ///< M, per step
    uint32_t sequences = 1;       ///< B, per micro-batch
    uint32_t segment_length = 1;  ///< steps per commitment; the last segment may be shorter
    bool operator==(const RunSpec&) const = default;
};

struct Program {
    Recipe recipe = Recipe::rmp1;
    std::vector<Parameter> parameters;
    std::vector<Node> nodes;  ///< forward, topological; the last one is cross_entropy
    Optimiser optimiser;
    DataSpec data;
    RunSpec run;
    bool operator==(const Program&) const = default;
};

/// Limits of programs, checked before anything is allocated.
struct ProgramLimits {
    static constexpr size_t encoded_bytes_max = 8u << 20;
    static constexpr uint32_t nodes_max = 4096;
    static constexpr uint32_t parameters_max = 4096;
    static constexpr uint32_t steps_max = 1u << 20;
    static constexpr uint32_t micro_batches_max = 1024;
    static constexpr uint32_t sequences_max = 4096;
    static constexpr uint32_t sequence_max = 16384;
    static constexpr uint32_t segment_length_max = 256;
    static constexpr uint32_t dim_max = 65536;  ///< rows and columns; K <= 133,144
    static constexpr uint64_t parameter_elements_max = 1ull << 31;
    static constexpr uint64_t value_elements_max = 1ull << 31;
};

enum class ProgramError {
    malformed,      ///< not RLP of the right structure
    not_canonical,  ///< re-encoding gives other bytes
    too_large,      ///< a limit of ProgramLimits
    bad_parameter,  ///< name, shape, init
    bad_node,       ///< unknown operator, wrong number of inputs, outputs or attributes
    bad_edge,       ///< an input that nothing produced, or a value produced twice
    bad_shape,      ///< shapes that do not fit the operator
    bad_optimiser,  ///< a coefficient that is not finite or out of range
    bad_data,       ///< records do not fit into the data set
    bad_run,        ///< a zero or too large count
};

/// What is wrong and where: the node's or parameter's number, or -1.
struct ProgramFault {
    ProgramError error = ProgramError::malformed;
    int64_t where = -1;
    std::string detail;  ///< what to do about it
};

[[nodiscard]] Bytes encode_program(const Program& program);
/// Strict: decodes, validates, re-encodes and compares.
[[nodiscard]] Result<Program, ProgramFault> decode_program(BytesView encoded);
[[nodiscard]] Result<Done, ProgramFault> validate_program(const Program& program);
/// SHA-256 of the encoding.
[[nodiscard]] Hash program_id(const Program& program);
[[nodiscard]] std::string to_text(const ProgramFault& fault);

/// Records of the data set, and how many of them may be trained on.
[[nodiscard]] uint64_t total_records(const Program& program);
[[nodiscard]] uint64_t training_records(const Program& program);
/// The record that is number `index` of those to train on, or of those held out.
/// Source: docs/spec/training.md, section 4.
[[nodiscard]] uint64_t training_record(const Program& program, uint64_t index);
[[nodiscard]] uint64_t held_out_record(const Program& program, uint64_t index);

/// The forward graph with all shapes, for `sequences` sequences of `positions` positions each.
[[nodiscard]] Result<Graph, ProgramFault> forward_graph(const Program& program, uint32_t sequences,
                                                        uint32_t positions);

struct TrainingGraph {
    Graph graph;                      ///< forward nodes, then backward nodes
    size_t forward_nodes = 0;         ///< how many of graph.nodes are forward
    uint32_t losses = 0;              ///< value: one loss per row
    uint32_t logits = 0;              ///< value: input z of cross_entropy
    std::vector<uint32_t> gradients;  ///< value per parameter
};

/// Differentiates: docs/spec/training.md, section 3. Shapes for one micro-batch of the program.
[[nodiscard]] Result<TrainingGraph, ProgramFault> derive_training_graph(const Program& program);

/// The template `gpt`: byte-level decoder-only transformer, pre-norm, learned positions.
struct GptOptions {
    uint32_t layers = 4, width = 128, heads = 4, sequence = 128, vocabulary = 256;
    uint32_t steps = 200, micro_batches = 4, sequences = 4, segment_length = 20;
    uint32_t warmup = 20;
    double learning_rate = 2e-3, final_ratio = 0.1;  ///< linear warm-up, then half a cosine
    double b1 = 0.9, b2 = 0.99, eps = 1e-8, decay = 0.1, init_std = 0.02;
    uint32_t held_out = 256;  ///< records; at most a tenth, rounded down to fit the batch
    Recipe recipe = Recipe::rmp1;
    Hash data_root;
    uint64_t data_bytes = 0;
};
[[nodiscard]] Result<Program, ProgramFault> make_gpt(const GptOptions& options);

}  // namespace trainyard::training
