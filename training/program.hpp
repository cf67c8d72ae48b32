// SPDX-License-Identifier: Apache-2.0
// Training programs: everything that determines a run, their canonical encoding and their limits.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "training/backend.hpp"
#include "training/op.hpp"
#include "training/tensor.hpp"

namespace trainyard::training {

enum class ValueKind : uint8_t {
    tokens = 0,      ///< uint32 indices, the input of text
    targets = 1,     ///< uint32, what cross_entropy compares with
    parameter = 2,   ///< trained
    activation = 3,  ///< what an operator yields
    constant = 4,    ///< fixed numbers of the program or of its data
    features = 5,    ///< float32, the input of images
};

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
    uint32_t sequences = 1;  ///< records of a micro-batch
    bool operator==(const Graph&) const = default;
};

/// `given`: read from the base section of the data (docs/spec/training.md, section 4).
enum class Init : uint8_t { zeros = 0, ones = 1, normal = 2, given = 3 };

/// Parameter k is value 2 + k of the graph; values 0 and 1 are the input and the targets.
struct Parameter {
    std::string name;  ///< 1..64 of [a-z0-9._], unique; the tensor's name in model.safetensors
    Shape shape;
    bool decay = false;
    Init init = Init::zeros;
    uint32_t init_scale_bits = 0;  ///< normal: factor of the centred sum of eight 16-bit words
    bool operator==(const Parameter&) const = default;
};

/// Where the numbers of a constant stand.
enum class ConstantSource : uint8_t {
    program = 0,    ///< binary32 in the program itself
    base_f32 = 1,   ///< binary32 in the base section of the data
    base_int8 = 2,  ///< int8 and one scale per column there: q * scale
};

/// A fixed tensor. Constant k is value 2 + parameters + k of the graph; it has no gradient and is
/// no part of the state.
struct Constant {
    std::string name;  ///< as a parameter's; unique among both
    Shape shape;
    ConstantSource source = ConstantSource::program;
    Bytes data;  ///< binary32 little-endian, row-major, for `program`; else empty
    bool operator==(const Constant&) const = default;
};

enum class OptimiserKind : uint8_t {
    adamw = 0,
    sgd = 1,  ///< momentum is b1; b2 and eps are zero
};

/// Both clip the global norm of the gradients: docs/spec/numerics.md, section 11.
struct Optimiser {
    uint32_t b1_bits = 0;
    uint32_t b2_bits = 0;
    uint32_t eps_bits = 0;
    uint32_t decay_bits = 0;
    std::vector<uint32_t> lr_bits;  ///< one binary32 per step
    OptimiserKind kind = OptimiserKind::adamw;
    uint32_t clip_bits = 0x3f800000;  ///< largest norm, positive
    bool operator==(const Optimiser&) const = default;
};

enum class DataKind : uint8_t {
    bytes = 0,       ///< every byte of the blob is a token
    tokens_u16 = 1,  ///< a payload of little-endian uint16 tokens
    images = 2,      ///< records of positions * channels bytes and a uint16 label
};

/// Text: records are `sequence + 1` tokens; record r starts at token r * stride. Images: one record
/// each, `sequence` is height * width, stride is 1. `held_out` records, spread evenly, are never
/// trained on: a data set is often files one after the other, and its end is then another text than
/// the rest. With held-out text the stride is at least `sequence`, so that no token to be predicted
/// is held out and trained on.
struct DataSpec {
    Hash root;  ///< identity of the data set; whoever hands in the bytes has checked it
    uint64_t size_bytes = 0;
    uint32_t sequence = 0;  ///< T, input tokens of a record
    uint32_t stride = 0;
    uint32_t held_out = 0;  ///< records, a multiple of RunSpec::sequences
    DataKind kind = DataKind::bytes;
    uint32_t channels = 0;        ///< of images
    uint64_t payload_offset = 0;  ///< first byte of the tokens or images
    uint64_t elements = 0;        ///< tokens or images there; 0 for kind bytes: all of the blob
    uint64_t base_offset = 0;     ///< of the base section; 0: there is none
    bool operator==(const DataSpec&) const = default;
};

struct RunSpec {
    uint32_t steps = 0;
    uint32_t micro_batches = 1;   ///< M, per step
    uint32_t sequences = 1;       ///< B, per micro-batch
    uint32_t segment_length = 1;  ///< steps per commitment; the last segment may be shorter
    bool operator==(const RunSpec&) const = default;
};

/// Byte-pair merges in order: merge i makes token 256 + i of the two tokens it names.
struct Tokenizer {
    std::vector<std::pair<uint16_t, uint16_t>> merges;
    bool operator==(const Tokenizer&) const = default;
};

struct Program {
    Recipe recipe = Recipe::rmp1;
    std::vector<Parameter> parameters;
    std::vector<Constant> constants;
    std::vector<Node> nodes;  ///< forward, topological; the last one is a loss
    Tokenizer tokenizer;      ///< empty: a token is a byte
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
    static constexpr uint32_t constants_max = 4096;
    static constexpr uint32_t merges_max = 65280;
    static constexpr uint32_t token_bytes_max = 64;
    static constexpr uint32_t steps_max = 1u << 20;
    static constexpr uint32_t micro_batches_max = 1024;
    static constexpr uint32_t sequences_max = 4096;
    static constexpr uint32_t sequence_max = 16384;
    static constexpr uint32_t segment_length_max = 256;
    static constexpr uint32_t dim_max = 65536;     ///< rows and columns of parameters
    static constexpr uint32_t terms_max = 131072;  ///< K of every product
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

/// Tokens of a record, or 1 for images; bytes of a token or image; bytes of the base section.
[[nodiscard]] uint64_t record_elements(const DataSpec& data);
[[nodiscard]] uint64_t element_bytes(const DataSpec& data);
[[nodiscard]] uint64_t base_bytes(const Program& program);

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
    uint32_t logits = 0;              ///< value: input 0 of the loss
    std::vector<uint32_t> gradients;  ///< value per parameter
};

/// Differentiates: docs/spec/training.md, section 3. Shapes for one micro-batch of the program.
[[nodiscard]] Result<TrainingGraph, ProgramFault> derive_training_graph(const Program& program);

/// The template `gpt`: decoder-only transformer, pre-norm, learned positions.
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
    DataSpec data;        ///< of a prepared data set, instead of data_root and data_bytes
    Tokenizer tokenizer;  ///< of its tokens
};
[[nodiscard]] Result<Program, ProgramFault> make_gpt(const GptOptions& options);

}  // namespace trainyard::training
