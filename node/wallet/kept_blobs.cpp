// SPDX-License-Identifier: Apache-2.0
// The rules, and the file.
#include "node/wallet/kept_blobs.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "node/wallet/blob.hpp"
#include "node/wallet/files.hpp"

namespace trainyard::node::wallet {
namespace {

constexpr size_t kFileBytesMax = 16u << 20;
constexpr uint64_t kOver_s = 1;  ///< a time that has passed: nobody asks any more
constexpr std::string_view kUses[] = {"material", "state", "bundle"};

std::string_view next_field(std::string_view& line) {
    const auto comma = std::min(line.find(','), line.size());
    const auto field = line.substr(0, comma);
    line.remove_prefix(std::min(comma + 1, line.size()));
    return field;
}

template <class T>
bool read_number(std::string_view text, T& into) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
    return error == std::errc{} && end == text.data() + text.size();
}

std::optional<KeptBlob> read_line(std::string_view line) {
    KeptBlob out;
    const bool is_placed =
        read_number(next_field(line), out.job) && read_number(next_field(line), out.seg);
    const auto use = std::find(std::begin(kUses), std::end(kUses), next_field(line));
    const bool is_timed = read_number(next_field(line), out.until_s);
    const auto id = fixed_from_hex<Hash>(line);
    if (!is_placed || use == std::end(kUses) || !is_timed || !id) return std::nullopt;
    out.use = static_cast<BlobUse>(use - std::begin(kUses));
    out.id = *id;
    return out;
}

std::string line_of(const KeptBlob& blob) {
    return std::to_string(blob.job) + "," + std::to_string(blob.seg) + "," +
           std::string(kUses[static_cast<size_t>(blob.use)]) + "," + std::to_string(blob.until_s) +
           "," + to_hex0x(blob.id.bytes) + "\n";
}

}  // namespace

bool is_asked_for(const KeptBlob& blob, const Job& job) {
    switch (blob.use) {
        case BlobUse::material:
            return true;
        case BlobUse::state:
            return uint64_t{blob.seg} + 1 >= trained_segments(job);
        case BlobUse::bundle:
            return blob.seg >= job.final_segments;
    }
    return true;
}

bool is_of_model(const KeptBlob& blob, const Job& job) {
    const uint32_t trained = trained_segments(job);
    if (trained == 0 || blob.use == BlobUse::bundle) return false;
    return blob.use == BlobUse::material || uint64_t{blob.seg} + 1 == trained;
}

KeptBlobs::KeptBlobs(std::string path) : path_(std::move(path)) {
    const auto text = read_text(path_, kFileBytesMax);
    std::string_view rest = text ? std::string_view(*text) : std::string_view();
    while (!rest.empty()) {
        const auto end = std::min(rest.find('\n'), rest.size());
        if (auto blob = read_line(rest.substr(0, end))) all_.push_back(*blob);
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
}

Result<Done, WalletError> KeptBlobs::write() const {
    std::string text;
    for (const auto& blob : all_) text += line_of(blob);
    return write_text(path_, text);
}

Answer<Hash> KeptBlobs::keep(MarketApi& market, KeptBlob blob, BytesView content) {
    blob.id = blob_id(content);
    const auto folder = std::filesystem::path(path_).parent_path().string();
    if (auto made = make_folder(folder); !made) return unexpected(made.error());
    if (auto noted = note(blob); !noted) return unexpected(noted.error());
    return market.keep_blob(content);
}

std::vector<uint64_t> KeptBlobs::look_after(MarketApi& market, uint64_t now_s, uint64_t model_s) {
    std::vector<uint64_t> closed;
    for (const uint64_t id : running())
        if (const auto job = market.job(id)) {
            see(id, *job, now_s + model_s);
            if (job->state == JobState::closed) closed.push_back(id);
        }
    for (const auto& blob : due(now_s)) {
        if (!is_shared(blob) && !market.release_blob(blob.id)) break;
        forget(blob);
    }
    return closed;
}

Result<Done, WalletError> KeptBlobs::note(const KeptBlob& blob) {
    const std::lock_guard lock(mutex_);
    if (std::find(all_.begin(), all_.end(), blob) != all_.end()) return Done{};
    all_.push_back(blob);
    auto written = write();
    if (!written) all_.pop_back();
    return written;
}

std::vector<uint64_t> KeptBlobs::running() const {
    const std::lock_guard lock(mutex_);
    std::set<uint64_t> out;
    for (const auto& blob : all_)
        if (blob.until_s == 0) out.insert(blob.job);
    return {out.begin(), out.end()};
}

void KeptBlobs::see(uint64_t id, const Job& job, uint64_t until_s) {
    const bool is_gone = job.state == JobState::none;  // of a chain that was begun anew
    const bool is_over = is_gone || job.state == JobState::closed;
    bool is_changed = false;
    const std::lock_guard lock(mutex_);
    for (auto& blob : all_) {
        if (blob.job != id || blob.until_s != 0) continue;
        if (is_over)
            blob.until_s = !is_gone && is_of_model(blob, job) ? until_s : kOver_s;
        else if (!is_asked_for(blob, job))
            blob.until_s = kOver_s;
        is_changed = is_changed || blob.until_s != 0;
    }
    if (is_changed) (void)write();  // found out again otherwise
}

std::vector<KeptBlob> KeptBlobs::due(uint64_t now_s) const {
    const std::lock_guard lock(mutex_);
    std::vector<KeptBlob> out;
    for (const auto& blob : all_)
        if (blob.until_s != 0 && blob.until_s <= now_s) out.push_back(blob);
    return out;
}

bool KeptBlobs::is_shared(const KeptBlob& blob) const {
    const std::lock_guard lock(mutex_);
    return std::count_if(all_.begin(), all_.end(),
                         [&](const KeptBlob& other) { return other.id == blob.id; }) > 1;
}

void KeptBlobs::forget(const KeptBlob& blob) {
    const std::lock_guard lock(mutex_);
    std::erase(all_, blob);
    (void)write();  // released twice otherwise, which does nothing
}

bool KeptBlobs::has_material(uint64_t job) const {
    const std::lock_guard lock(mutex_);
    return std::any_of(all_.begin(), all_.end(), [&](const KeptBlob& blob) {
        return blob.job == job && blob.use == BlobUse::material;
    });
}

std::vector<KeptBlob> KeptBlobs::all() const {
    const std::lock_guard lock(mutex_);
    return all_;
}

}  // namespace trainyard::node::wallet
