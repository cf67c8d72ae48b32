// SPDX-License-Identifier: Apache-2.0
// Checkpoints of a provider.
#include "node/provider/job_folder.hpp"

#include <bit>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <unistd.h>

#include "node/wallet/files.hpp"

namespace trainyard::node::provider {
namespace {

constexpr const char* kSpareLog = "/gradients-spare";
constexpr const char* kRefuted = "/refuted";
constexpr size_t kLossBytesMax = size_t{1} << 30;

/// First number of the last complete line of the loss log, plus one.
uint32_t next_logged_step(const std::string& path) {
    std::ifstream in(path);
    uint32_t next = 0;
    for (std::string line; std::getline(in, line);)
        if (const auto comma = line.find(','); comma != std::string::npos)
            next = static_cast<uint32_t>(std::strtoul(line.c_str(), nullptr, 10)) + 1;
    return next;
}

}  // namespace

JobFolder::JobFolder(std::string path, const training::Program& program)
    : path_(std::move(path)),
      program_(program),
      program_id_(training::program_id(program)),
      next_step_(next_logged_step(path_ + "/loss.csv")) {}

void JobFolder::mend() {
    const std::string own = ".tmp" + std::to_string(::getpid());
    for (const std::string& name : wallet::list_folder(path_)) {
        const auto end = name.rfind(".tmp");
        if (end != std::string::npos && name.substr(end) != own)
            wallet::remove_file(path_ + "/" + name);
    }
    const std::string losses = path_ + "/loss.csv";
    const auto text = wallet::read_text(losses, kLossBytesMax);
    std::error_code error;
    if (text && !text->empty() && text->back() != '\n')
        std::filesystem::resize_file(losses, text->rfind('\n') + 1, error);
    next_step_ = next_logged_step(losses);
}

std::string JobFolder::file(const char* kind, uint32_t seg) const {
    return path_ + "/" + kind + "-" + std::to_string(seg);
}

std::optional<training::ModelState> JobFolder::load_state(uint32_t seg) const {
    const auto content = load_encoded_state(seg);
    if (!content) return std::nullopt;
    auto state = training::decode_state(program_, *content);
    if (!state) return std::nullopt;
    return std::move(*state);
}

Result<Bytes, wallet::WalletError> JobFolder::load_encoded_state(uint32_t seg) const {
    return wallet::read_file(file("state", seg), kStateBytesMax);
}

Result<training::SegmentRecord, std::string> JobFolder::load_record(uint32_t seg) const {
    const auto content = wallet::read_file(file("record", seg), 1u << 30);
    if (!content) return unexpected(content.error().text);
    auto record = training::decode_record(program_, *content);
    if (!record)
        return unexpected(file("record", seg) + ": " +
                          std::string(training::to_text(record.error())));
    return std::move(*record);
}

Result<Done, wallet::WalletError> JobFolder::keep(uint32_t seg,
                                                  const training::SegmentRecord& record,
                                                  const training::ModelState& after) {
    if (auto made = wallet::make_folder(path_); !made) return unexpected(made.error());
    auto written = wallet::write_file(file("record", seg), training::encode_record(record));
    if (!written) return written;
    return keep_state(seg + 1, training::encode_state(after, program_id_));
}

Result<Done, wallet::WalletError> JobFolder::keep_state(uint32_t seg, BytesView encoded) {
    if (auto made = wallet::make_folder(path_); !made) return unexpected(made.error());
    return wallet::write_file(file("state", seg), encoded);
}

Result<Done, wallet::WalletError> JobFolder::keep_divergence(const Divergence& found) {
    if (auto made = wallet::make_folder(path_); !made) return unexpected(made.error());
    Bytes content;
    append_le(content, found.step);
    append_le(content, found.attempt);
    append(content, found.first_root.bytes);
    return wallet::write_file(file("divergence", found.seg), content);
}

std::optional<Divergence> JobFolder::load_divergence(uint32_t seg) const {
    constexpr size_t kSize = 2 * sizeof(uint32_t) + Hash::size();
    const auto content = wallet::read_file(file("divergence", seg), kSize);
    if (!content || content->size() != kSize) return std::nullopt;
    Divergence out{
        seg, load_le<uint32_t>(content->data()), load_le<uint32_t>(content->data() + 4), {}};
    std::copy(content->begin() + 8, content->end(), out.first_root.bytes.begin());
    return out;
}

std::string JobFolder::begin_log(uint32_t seg) const {
    std::error_code error;  // without a spare one the file is a new one
    if (!wallet::file_exists(log_path(seg)))
        std::filesystem::rename(path_ + kSpareLog, log_path(seg), error);
    return log_path(seg);
}

void JobFolder::forget_log(uint32_t seg) const {
    std::error_code error;  // there may be none
    std::filesystem::rename(log_path(seg), path_ + kSpareLog, error);
}

void JobFolder::forget_logs() const {
    for (const std::string& name : wallet::list_folder(path_))
        if (name.starts_with("gradients-")) wallet::remove_file(path_ + "/" + name);
}

void JobFolder::log_loss(uint32_t step, uint32_t loss_bits) {
    if (step < next_step_) return;
    if (!wallet::make_folder(path_)) return;
    std::ofstream out(path_ + "/loss.csv", std::ios::app);
    out << step << ',' << std::bit_cast<float>(loss_bits) << '\n';
    next_step_ = step + 1;
}

void forget_states(const std::string& folder) {
    for (const std::string& name : wallet::list_folder(folder))
        if (name.starts_with("gradients-") || name.starts_with("state-"))
            wallet::remove_file(folder + "/" + name);
}

Result<Done, wallet::WalletError> keep_refuted(const std::string& folder, const Hash& run_seed) {
    if (auto made = wallet::make_folder(folder); !made) return unexpected(made.error());
    return wallet::write_text(folder + kRefuted, to_hex0x(run_seed.bytes) + "\n");
}

/// The seed tells a run from that of a chain that was begun anew.
bool is_refuted(const std::string& folder, const Hash& run_seed) {
    const std::string expected = to_hex0x(run_seed.bytes) + "\n";
    const auto kept = wallet::read_text(folder + kRefuted, expected.size());
    return kept && *kept == expected;
}

void JobFolder::forget_before(uint32_t seg) {
    for (; forgotten_ < seg; ++forgotten_) {
        wallet::remove_file(file("state", forgotten_));
        forget_log(forgotten_);
    }
}

}  // namespace trainyard::node::provider
