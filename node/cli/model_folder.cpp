// SPDX-License-Identifier: Apache-2.0
// Files of a model folder.
#include "node/cli/model_folder.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include <boost/json.hpp>

#include "core/merkle.hpp"
#include "node/cli/machine.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/json_util.hpp"
#include "training/safetensors.hpp"
#include "training/state_root.hpp"
#include "training/tokenizer.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;
constexpr size_t kModelBytesMax = size_t{64} << 30;
constexpr const char* kConstantsFile = "/constants.safetensors";

/// GPT-2's byte alphabet: printable bytes stand for themselves, the others for symbols from 256 on.
std::vector<std::string> byte_alphabet() {
    std::vector<std::string> out;
    uint32_t next_symbol = 256;
    for (uint32_t byte = 0; byte < 256; ++byte) {
        const bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
        const uint32_t symbol = printable ? byte : next_symbol++;
        std::string text;
        if (symbol < 0x80) {
            text += static_cast<char>(symbol);
        } else {
            text += static_cast<char>(0xc0 | (symbol >> 6));
            text += static_cast<char>(0x80 | (symbol & 0x3f));
        }
        out.push_back(std::move(text));
    }
    return out;
}

/// The program's merges over the bytes, in the form of Hugging Face's tokenizers.
std::string tokenizer_json(const training::Tokenizer& tokenizer) {
    const std::vector<std::string> alphabet = byte_alphabet();
    json::object vocabulary;
    std::vector<std::string> tokens;
    for (const Bytes& bytes : training::token_bytes(tokenizer)) {
        std::string text;
        for (const uint8_t byte : bytes) text += alphabet[byte];
        vocabulary.emplace(text, tokens.size());  // of equal texts the first token counts
        tokens.push_back(std::move(text));
    }
    json::array merges;
    for (const auto& [left, right] : tokenizer.merges)
        merges.emplace_back(tokens[left] + " " + tokens[right]);
    const json::object byte_level{{"type", "ByteLevel"},
                                  {"add_prefix_space", false},
                                  {"trim_offsets", false},
                                  {"use_regex", false}};
    json::object root{{"version", "1.0"},
                      {"truncation", nullptr},
                      {"padding", nullptr},
                      {"added_tokens", json::array()},
                      {"normalizer", nullptr},
                      {"pre_tokenizer", byte_level},
                      {"post_processor", nullptr},
                      {"decoder", byte_level},
                      {"model",
                       {{"type", "BPE"},
                        {"dropout", nullptr},
                        {"unk_token", nullptr},
                        {"vocab", std::move(vocabulary)},
                        {"merges", std::move(merges)}}}};
    return json::serialize(root) + "\n";
}

std::string tokenizer_config(const training::Program& program) {
    return json::serialize(json::object{{"tokenizer_class", "PreTrainedTokenizerFast"},
                                        {"model_max_length", program.data.sequence},
                                        {"clean_up_tokenization_spaces", false}}) +
           "\n";
}

std::string proof_json(const training::Program& program, const training::ModelState& state,
                       const ModelOrigin& origin) {
    const Hash id = training::program_id(program);
    const auto leaves = training::state_leaves(state, id);
    json::array others;
    for (size_t i = state.w.size(); i < leaves.size(); ++i)
        others.emplace_back(to_hex0x(leaves[i].bytes));
    json::object root{{"programId", to_hex0x(id.bytes)},
                      {"stateRoot", to_hex0x(training::state_root(state, id).bytes)},
                      {"otherLeaves", std::move(others)}};
    if (origin.chain_id) root["chainId"] = *origin.chain_id;
    if (origin.job) root["job"] = *origin.job;
    if (origin.token) root["token"] = to_decimal(*origin.token);
    return json::serialize(root) + "\n";
}

std::string card_text(const training::Program& program, const training::ModelState& state,
                      const ModelOrigin& origin) {
    training::ModelCard card;
    card.name = origin.name;
    card.licence = origin.licence;
    training::describe_purpose(card, program);
    card.program = training::program_id(program);
    card.data_root = program.data.root;
    card.state_root = training::state_root(state, card.program);
    card.train_loss = origin.train_loss;
    card.held_out_loss = origin.held_out_loss;
    card.facts = origin.facts;
    return training::model_card(card);
}

std::string file_fault(const std::string& path, training::SafetensorsError error) {
    return "'" + path + "' cannot be read as a model: " + std::string(training::to_text(error));
}

/// Constants whose numbers are not in the program itself.
bool needs_constants(const training::Program& program) {
    return std::any_of(program.constants.begin(), program.constants.end(),
                       [](const auto& c) { return c.source != training::ConstantSource::program; });
}

Result<Done, std::string> write_constants(const std::string& folder,
                                          const training::Program& program,
                                          std::vector<training::Tensor> constants) {
    if (!needs_constants(program)) return Done{};
    if (constants.size() != program.constants.size())
        return unexpected(std::string("the model's frozen weights stand in its data set"));
    std::vector<training::NamedTensor> tensors;
    for (size_t k = 0; k < constants.size(); ++k)
        tensors.push_back({program.constants[k].name, std::move(constants[k])});
    const auto done = wallet::write_file(folder + kConstantsFile,
                                         training::write_safetensors(std::move(tensors), {}));
    if (!done) return unexpected(done.error().text);
    return Done{};
}

Result<std::vector<training::Tensor>, std::string> read_constants(
    const std::string& folder, const training::Program& program) {
    if (!needs_constants(program)) {
        auto own = training::program_constants(program, {});
        if (!own) return unexpected(std::string(training::to_text(own.error())));
        return std::move(*own);
    }
    const std::string path = folder + kConstantsFile;
    const auto file = wallet::read_file(path, kModelBytesMax);
    if (!file) return unexpected(file.error().text);
    auto parsed = training::read_safetensors(*file);
    if (!parsed) return unexpected(file_fault(path, parsed.error()));
    std::vector<training::Tensor> out;
    for (const auto& c : program.constants) {
        const auto it = std::find_if(parsed->tensors.begin(), parsed->tensors.end(),
                                     [&c](const auto& t) { return t.name == c.name; });
        if (it == parsed->tensors.end() || it->tensor.shape != c.shape)
            return unexpected("'" + path + "' lacks " + c.name);
        out.push_back(std::move(it->tensor));
    }
    return out;
}

/// Of the model that was here before: loaders take what they find, a tokenizer of other text too.
void remove_what_it_lacks(const std::string& folder, const training::Program& program) {
    if (!needs_constants(program)) wallet::remove_file(folder + kConstantsFile);
    if (program.data.kind != training::DataKind::images) return;
    for (const char* name :
         {"/generation_config.json", "/tokenizer.json", "/tokenizer_config.json"})
        wallet::remove_file(folder + name);
}

/// A clear word where a folder is none, or none of ours.
Result<Done, std::string> has_model(const std::string& folder) {
    std::error_code failed;
    if (!std::filesystem::is_directory(folder, failed))
        return unexpected("'" + folder + "' is no folder; a model is one, as `train`, " +
                          "`job download` and `program import` leave it");
    if (!wallet::file_exists(folder + "/trainyard.program"))
        return unexpected("'" + folder + "' holds no model: it has no 'trainyard.program'");
    return Done{};
}

}  // namespace

Result<blobs::File, std::string> hold_model_folder(const std::string& folder) {
    if (auto made = wallet::make_folder(folder); !made) return unexpected(made.error().text);
    auto file = blobs::File::open(folder);
    // Some network file systems cannot lock a folder: then nothing is known of others.
    if (file && !file->lock() && errno == EWOULDBLOCK)
        return unexpected("another process writes a model into '" + folder +
                          "': wait for it, or name another --out");
    return file;
}

std::string why_no_room(const std::string& folder, uint64_t need_bytes, uint64_t replaced_bytes) {
    constexpr uint64_t kMiB = 1U << 20;
    const auto free = free_disk_bytes(folder);
    if (!free || *free + replaced_bytes >= need_bytes) return "";
    return "up to " + std::to_string(need_bytes / kMiB + 1) + " MiB are written into '" + folder +
           "', where " + std::to_string((*free + replaced_bytes) / kMiB) +
           " MiB are free: make room, or name another --out";
}

std::string why_not_replaced(const std::string& folder,
                             const std::function<bool(const ModelProof&)>& is_same) {
    if (!wallet::file_exists(folder + "/model.safetensors")) return "";
    const auto proof = read_model_proof(folder);
    if (proof && is_same(*proof)) return "";
    return "'" + folder + "' holds another model, which would be lost: name another --out, or " +
           "move that model away";
}

Result<Done, std::string> write_model_folder(const std::string& folder,
                                             const training::Program& program,
                                             const training::ModelState& state,
                                             const ModelOrigin& origin,
                                             std::vector<training::Tensor> constants) {
    if (auto made = wallet::make_folder(folder); !made) return unexpected(made.error().text);
    const Hash root = training::state_root(state, training::program_id(program));
    const auto model = training::write_model(
        program, state.w, {{"format", "pt"}, {"trainyard.state_root", to_hex0x(root.bytes)}});
    std::vector<std::pair<const char*, std::string>> texts = {
        {"config.json", training::hugging_face_config(program)},
        {"README.md", card_text(program, state, origin)},
        {"trainyard.json", proof_json(program, state, origin)}};
    if (program.data.kind != training::DataKind::images) {
        texts.emplace_back("generation_config.json",
                           "{\"do_sample\": true, \"temperature\": 0.8}\n");
        texts.emplace_back("tokenizer.json", tokenizer_json(program.tokenizer));
        texts.emplace_back("tokenizer_config.json", tokenizer_config(program));
    }
    // The largest first: where the disk is full an older model stays as it was.
    if (auto done = wallet::write_file(folder + "/model.safetensors", model); !done)
        return unexpected(done.error().text);
    if (auto done = write_constants(folder, program, std::move(constants)); !done) return done;
    for (const auto& [name, text] : texts)
        if (auto done = wallet::write_text(folder + "/" + name, text); !done)
            return unexpected(done.error().text);
    remove_what_it_lacks(folder, program);
    const auto encoded = training::encode_program(program);
    if (auto done = wallet::write_file(folder + "/trainyard.program", encoded); !done)
        return unexpected(done.error().text);
    return Done{};
}

Result<ModelFolder, std::string> read_model_folder(const std::string& folder) {
    if (auto at_hand = has_model(folder); !at_hand) return unexpected(at_hand.error());
    const std::string program_path = folder + "/trainyard.program";
    const auto encoded =
        wallet::read_file(program_path, training::ProgramLimits::encoded_bytes_max);
    if (!encoded) return unexpected(encoded.error().text);
    auto program = training::decode_program(*encoded);
    if (!program)
        return unexpected("'" + program_path + "': " + training::to_text(program.error()));
    const std::string model_path = folder + "/model.safetensors";
    const auto file = wallet::read_file(model_path, kModelBytesMax);
    if (!file) return unexpected(file.error().text);
    auto w = training::read_model(*program, *file);
    if (!w) return unexpected(file_fault(model_path, w.error()));
    auto constants = read_constants(folder, *program);
    if (!constants) return unexpected(constants.error());
    return ModelFolder{std::move(*program), std::move(*w), std::move(*constants)};
}

Result<ModelProof, std::string> read_model_proof(const std::string& folder) {
    const std::string path = folder + "/trainyard.json";
    const auto text = wallet::read_text(path, 16u << 20);
    if (!text) return unexpected(text.error().text);
    const auto root = wallet::parse_json(*text);
    const auto fault = [&](const char* what) {
        return unexpected("'" + path + "': '" + what + "' is missing or not of the right form");
    };
    if (!root) return unexpected("'" + path + "' is no JSON; it may be cut off");
    ModelProof out;
    out.chain_id = wallet::number_member(*root, "chainId");
    out.job = wallet::number_member(*root, "job");
    if (const auto token = wallet::text_member(*root, "token")) out.token = parse_uint256(*token);
    const auto program = wallet::text_member(*root, "programId");
    const auto state = wallet::text_member(*root, "stateRoot");
    const auto program_id = program ? fixed_from_hex<Hash>(*program) : std::nullopt;
    const auto state_root = state ? fixed_from_hex<Hash>(*state) : std::nullopt;
    if (!program_id) return fault("programId");
    if (!state_root) return fault("stateRoot");
    out.program_id = *program_id;
    out.state_root = *state_root;
    const auto* leaves = wallet::member(*root, "otherLeaves");
    if (leaves == nullptr || !leaves->is_array()) return fault("otherLeaves");
    for (const auto& leaf : leaves->get_array()) {
        const auto hash = leaf.is_string()
                              ? fixed_from_hex<Hash>(std::string_view(leaf.get_string()))
                              : std::nullopt;
        if (!hash) return fault("otherLeaves");
        out.other_leaves.push_back(*hash);
    }
    return out;
}

Hash recomputed_root(const ModelFolder& model, const ModelProof& proof) {
    std::vector<Hash> leaves;
    for (const auto& tensor : model.w) leaves.push_back(training::tensor_leaf(tensor));
    leaves.insert(leaves.end(), proof.other_leaves.begin(), proof.other_leaves.end());
    return merkle::root(std::move(leaves));
}

}  // namespace trainyard::node::cli
