// SPDX-License-Identifier: Apache-2.0
// One job on a market in memory, a provider that trains it, and its auditors.
#pragma once

#include <algorithm>
#include <filesystem>
#include <set>

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/hash.hpp"
#include "fake_market.hpp"
#include "node/provider/worker.hpp"
#include "node/verify/audit_worker.hpp"
#include "node/wallet/files.hpp"
#include "tests/training/image_programs.hpp"

namespace trainyard::test {

using node::provider::Event;
using node::provider::ProviderOptions;
using node::provider::ProviderWorker;
using node::verify::AuditWorker;
using node::verify::AuditWorkerOptions;
using wallet::JobState;

inline Address account(uint8_t n) {
    Address out;
    out.bytes.fill(n);
    return out;
}

inline constexpr uint32_t kSegments = 3, kSteps = 4;

/// One job over a tiny transformer, one provider, three validators; everything on one thread.
class Play {
public:
    enum class Run { sound, diverging };
    explicit Play(Run run = Run::sound) {
        folder_ = (std::filesystem::temp_directory_path() /
                   ("play_" + std::to_string(::getpid()) + "_" + std::to_string(counter_++)))
                      .string();
        for (uint8_t v = 1; v <= 3; ++v) ledger->validators.push_back(account(v));
        client_ = fake_market(ledger, account(9));
        post_job(run);
        restart_validators();
        restart_provider();
    }
    ~Play() { std::filesystem::remove_all(folder_); }

    void restart_provider() {
        provider_.reset();
        provider_ = make_provider(provider_folder_);
    }
    /// One of the same account, whose folder is so called.
    [[nodiscard]] std::unique_ptr<ProviderWorker> make_provider(const std::string& folder,
                                                                bool takes_over = false) {
        ProviderOptions options;
        options.folder = folder_ + "/" + folder;
        options.place = folder;
        options.takes_over = takes_over;
        options.rules = rules;
        options.stake_wei_max = 1000;
        options.fault = fault;
        options.make_backend = [] { return training::make_cpu_backend({}); };
        options.make_host_backend = options.make_backend;
        options.background = [](const std::function<void()>& task) { task(); };
        options.defence_background = [this](const std::function<void()>& task) { defence(task); };
        options.now_s = [this] { return ledger->now_s; };
        options.on_event = [this](const Event& e) { events.push_back(e); };
        return std::make_unique<ProviderWorker>(*provider_market_, options);
    }

    void restart_validators() {
        workers_.clear(), verifiers_.clear(), markets_.clear();
        for (uint8_t v = 1; v <= 3; ++v) add_validator(v);
    }
    /// Seats of which a validator has an answer on disk.
    [[nodiscard]] std::multiset<std::string> answers() const {
        std::multiset<std::string> out;
        for (int v = 1; v <= 3; ++v)
            for (const auto& name :
                 node::wallet::list_folder(folder_ + "/validator" + std::to_string(v)))
                if (name.find("-l0-") != std::string::npos) out.insert(name);
        return out;
    }

    /// Another provider takes the place of the one of before, which is never seen again.
    void replace_provider(uint8_t n) {
        provider_market_ = fake_market(ledger, account(n));
        provider_folder_ = "provider" + std::to_string(n);
        restart_provider();
    }
    [[nodiscard]] const std::string& why_ended() const { return provider_->why_ended(); }
    [[nodiscard]] bool has_job() const { return provider_->has_job(); }
    [[nodiscard]] size_t remembered_by_provider() const { return provider_->remembered(); }
    [[nodiscard]] size_t remembered_by_validators() const {
        size_t out = 0;
        for (const auto& worker : workers_) out += worker->remembered();
        return out;
    }

    void tick() {
        tick_provider();
        tick_validators();
    }
    void tick_provider() { provider_->tick(); }
    void tick_validators() {
        for (auto& worker : workers_) worker->tick();
        ledger->pass(1);
    }
    void run(int ticks) {
        for (int i = 0; i < ticks && job().state != JobState::closed; ++i) tick();
    }
    /// The segment is accepted, and its window open.
    [[nodiscard]] bool run_until_accepted(uint32_t seg) {
        const auto is_accepted = [&] {
            const auto& segments = ledger->jobs[0].segments;
            return seg < segments.size() &&
                   segments[seg].segment.state == wallet::SegmentState::accepted;
        };
        for (int i = 0; i < 400 && !is_accepted(); ++i) tick();
        return is_accepted();
    }
    [[nodiscard]] wallet::Job job() const { return ledger->jobs[0].job; }
    [[nodiscard]] wallet::Segment& segment(uint32_t seg) {
        return ledger->jobs[0].segments.at(seg).segment;
    }
    [[nodiscard]] std::string history() const {
        std::string out;
        for (const auto& line : ledger->jobs[0].history) out += line + "; ";
        return out;
    }
    [[nodiscard]] std::string told(Event::Kind kind) const {
        std::string out;
        for (const auto& event : events)
            if (event.kind == kind) out += event.text + "\n";
        return out;
    }

    [[nodiscard]] size_t count(Event::Kind kind) const {
        return static_cast<size_t>(std::count_if(events.begin(), events.end(),
                                                 [&](const Event& e) { return e.kind == kind; }));
    }

    [[nodiscard]] std::string job_file(const std::string& name) const {
        return folder_ + "/" + provider_folder_ + "/job-0/" + name;
    }

    std::shared_ptr<FakeLedger> ledger = std::make_shared<FakeLedger>();
    training::Fault fault = training::Fault::none;
    node::provider::OfferRules rules;
    node::provider::Background defence = [](const std::function<void()>& task) { task(); };
    std::vector<Event> events;
    std::vector<std::string> said;

private:
    static Bytes text() {
        Bytes out;
        for (int i = 0; i < 4000; ++i) out.push_back(static_cast<uint8_t>('a' + (i * i) % 23));
        return out;
    }
    static training::Program sound_program(const Hash& data_root, size_t data_bytes) {
        training::GptOptions gpt;
        gpt.layers = 1, gpt.width = 32, gpt.heads = 2, gpt.sequence = 16;
        gpt.steps = kSegments * kSteps, gpt.segment_length = kSteps, gpt.warmup = 2;
        gpt.micro_batches = 2, gpt.sequences = 2, gpt.held_out = 4;
        gpt.data_root = data_root;
        gpt.data_bytes = data_bytes;
        return *training::make_gpt(gpt);
    }
    void post_job(Run run) {
        const bool is_sound = run == Run::sound;
        const Bytes data = is_sound ? text() : training::shapes_data();
        const Hash root = *client_->put_blob(data);
        const auto program = is_sound ? sound_program(root, data.size())
                                      : training::diverging_program(kSegments * kSteps, root);
        const Bytes encoded = training::encode_program(program);
        wallet::JobSpec spec;
        spec.program = *client_->put_blob(encoded);
        spec.program_id = sha256(encoded);
        spec.data = root;
        spec.segments = kSegments;
        spec.steps_per_segment = kSteps;
        spec.micro_batches = 2;
        spec.unit_work = training::audit_unit_work(program, ledger->limits);
        spec.segment_blocks = 100;
        spec.deadline_s = 1'000'000;
        spec.price_wei = 100;
        ledger->post(spec, account(9));
    }
    void add_validator(uint8_t n) {
        markets_.push_back(fake_market(ledger, account(n)));
        verifiers_.push_back(node::verify::make_local_verifier(node::verify::BackendOptions{}));
        AuditWorkerOptions options;
        options.folder = folder_ + "/validator" + std::to_string(n);
        options.rank = n - 1u;
        options.ranks = 3;
        options.background = [](const std::function<void()>& task) { task(); };
        options.replay_background = options.move_background = options.background;
        options.now_s = [this] { return ledger->now_s; };
        options.say = [this](const std::string& text) { said.push_back(text); };
        auto& verifier = *verifiers_.back();
        workers_.push_back(
            std::make_unique<AuditWorker>(*markets_.back(), verifier, verifier, verifier, options));
    }

    static inline int counter_ = 0;
    std::string folder_, provider_folder_ = "provider";
    std::unique_ptr<wallet::MarketApi> client_;
    std::unique_ptr<wallet::MarketApi> provider_market_ = fake_market(ledger, account(7));
    std::vector<std::unique_ptr<wallet::MarketApi>> markets_;
    std::vector<std::unique_ptr<node::verify::Verifier>> verifiers_;
    std::vector<std::unique_ptr<AuditWorker>> workers_;
    std::unique_ptr<ProviderWorker> provider_;
};

inline std::string last_lines(const std::vector<std::string>& lines) {
    std::string out;
    for (size_t i = lines.size() > 12 ? lines.size() - 12 : 0; i < lines.size(); ++i)
        out += lines[i] + "\n";
    return out;
}

}  // namespace trainyard::test
