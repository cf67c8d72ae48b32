// SPDX-License-Identifier: Apache-2.0
// A trained model as a Hugging Face folder, with what links it to the chain.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "core/uint256.hpp"
#include "node/blobs/file.hpp"
#include "training/engine.hpp"
#include "training/report.hpp"

namespace trainyard::node::cli {

/// Where the model comes from; absent fields are those of a run without a chain.
struct ModelOrigin {
    std::string name = "trainyard-model";
    std::string licence = "unknown";
    float train_loss = 0;
    std::optional<float> held_out_loss;  ///< absent where the program holds no records out
    std::optional<uint64_t> chain_id, job;
    std::optional<Uint256> token;  ///< id
    std::vector<std::pair<std::string, std::string>> facts;
};

/// What trainyard.json says.
struct ModelProof {
    std::optional<uint64_t> chain_id, job;
    std::optional<Uint256> token;
    Hash program_id, state_root;
    std::vector<Hash> other_leaves;  ///< of m, v and the scalars
};

/// Makes the folder and holds it for this process, as long as the file is open: two runs would each
/// leave files of their model in it. The error is text for the user.
[[nodiscard]] Result<blobs::File, std::string> hold_model_folder(const std::string& folder);

/// Why so much cannot be written into the folder, on top of a file of `replaced_bytes` that is
/// there; empty where it can, or where the disk does not say.
[[nodiscard]] std::string why_no_room(const std::string& folder, uint64_t need_bytes,
                                      uint64_t replaced_bytes = 0);

/// Why a model that comes from elsewhere must not be written into the folder: there is another one,
/// perhaps the only copy of it. Empty where there is none, or `is_same` knows what it was made
/// from.
[[nodiscard]] std::string why_not_replaced(const std::string& folder,
                                           const std::function<bool(const ModelProof&)>& is_same);

/// Writes config.json, model.safetensors, tokenizer.json, tokenizer_config.json,
/// generation_config.json, README.md, trainyard.program and trainyard.json (the leaves of the state
/// root besides those of the weights); constants.safetensors if the program has constants that do
/// not stand in itself. Of these it removes what another model left that this one lacks. The error
/// is text for the user.
[[nodiscard]] Result<Done, std::string> write_model_folder(const std::string& folder,
                                                           const training::Program& program,
                                                           const training::ModelState& state,
                                                           const ModelOrigin& origin,
                                                           std::vector<training::Tensor> constants);

struct ModelFolder {
    training::Program program;
    std::vector<training::Tensor> w;
    std::vector<training::Tensor> constants;
};
[[nodiscard]] Result<ModelFolder, std::string> read_model_folder(const std::string& folder);

[[nodiscard]] Result<ModelProof, std::string> read_model_proof(const std::string& folder);
/// The state root from the weights in the file and the other leaves.
[[nodiscard]] Hash recomputed_root(const ModelFolder& model, const ModelProof& proof);

}  // namespace trainyard::node::cli
