defmodule Rhizome.TelemetryTest do
  # With :telemetry where it is part of the system, else with a stand-in that
  # is there for the time of these tests.
  use Rhizome.Case, async: false

  @stand_in """
  defmodule :telemetry do
    def execute(event, measurements, metadata) do
      if test = :persistent_term.get({__MODULE__, :test}, nil) do
        send(test, {:event, event, measurements, metadata})
      end

      :ok
    end
  end
  """

  setup do
    if Code.ensure_loaded?(:telemetry) do
      test = self()
      id = make_ref()

      handler = fn event, measurements, metadata, _ ->
        send(test, {:event, event, measurements, metadata})
      end

      apply(:telemetry, :attach_many, [id, Rhizome.Telemetry.events(), handler, nil])
      on_exit(fn -> apply(:telemetry, :detach, [id]) end)
    else
      Code.compile_string(@stand_in)
      :persistent_term.put({:telemetry, :test}, self())

      on_exit(fn ->
        :persistent_term.erase({:telemetry, :test})
        :code.purge(:telemetry)
        :code.delete(:telemetry)
      end)
    end

    :ok
  end

  test "a daemon comes up and goes down" do
    store = start_store(name: __MODULE__.Store)
    os_pid = Rhizome.info(store).os_pid

    assert_received {:event, [:rhizome, :daemon, :up], up, meta}
    assert up.duration > 0
    assert %{store: __MODULE__.Store, os_pid: ^os_pid, version: version} = meta
    assert is_binary(version)

    Rhizome.stop(store)
    assert_receive {:event, [:rhizome, :daemon, :down], %{in_flight: 0}, %{reason: :normal}}
  end

  @tag :capture_log
  test "a daemon that dies says why" do
    store = start_store()
    signal(daemon(store), "KILL")
    assert_receive {:event, [:rhizome, :daemon, :down], _, %{reason: {:signal, 9}}}, 5_000
  end

  test "a request starts and stops" do
    set = table(start_store(), :set)
    Rhizome.insert!(set, 1)
    name = set.name

    assert_received {:event, [:rhizome, :request, :start], %{monotonic_time: _},
                     %{command: :insert}}

    assert_received {:event, [:rhizome, :request, :stop], stop,
                     %{command: :insert, table: ^name, result: :ok}}

    assert stop.duration > 0 and stop.request_bytes > 0 and stop.reply_bytes > 0

    Rhizome.update_row(Rhizome.handle(set.store, :none, :pom), 1, 1)

    assert_received {:event, [:rhizome, :request, :stop], _,
                     %{command: :update_row, result: :no_table}}
  end

  test "the command of a mutation with a key is what it does" do
    set = table(start_store(), :set)
    Rhizome.insert!(set, 1, idempotency_key: 1)
    name = set.name
    assert_received {:event, [:rhizome, :request, :stop], _, %{command: :insert, table: ^name}}
    refute_received {:event, _event, _measurements, %{command: :with}}
  end

  @tag :capture_log
  @tag :tmp_dir
  test "a store on the disk recovers, cuts, writes a checkpoint, and is refused", context do
    dir = Path.join(context.tmp_dir, "store")
    options = [dir: dir, name: __MODULE__.Durable]
    {:ok, store} = Rhizome.start_link(options)

    assert_received {:event, [:rhizome, :recovery, :stop], %{records: 0},
                     %{fresh: true, torn: nil}}

    set = Rhizome.create_table!(store, :s, :set)
    Rhizome.insert!(set, 1)
    Rhizome.checkpoint!(store)
    assert_receive {:event, [:rhizome, :checkpoint, :stop], %{bytes: bytes}, %{seq: 2, dir: ^dir}}
    assert bytes > 0
    Rhizome.insert!(set, 2)
    die(store)

    [segment] = Path.wildcard(Path.join(dir, "log-*.tlg"))
    [record] = Enum.to_list(Rhizome.Log.stream!(segment))
    garbage(segment, record.offset + record.bytes)
    {:ok, store} = Rhizome.start_link(options)
    assert_received {:event, [:rhizome, :recovery, :stop], stop, %{torn: torn} = meta}
    assert %{records: 1, torn_bytes: 7} = stop
    assert stop.duration >= 0 and stop.bytes > 0
    assert %{seq: 3, checkpoint: 2, clean: false, store: __MODULE__.Durable, dir: ^dir} = meta
    assert %{bytes: 7, seq: 3, saved: "torn/" <> _name} = torn
    die(store)

    garbage(segment, record.offset)
    {:ok, store} = Rhizome.start_link(options)
    assert_received {:event, [:rhizome, :daemon, :refused], %{system_time: _}, refused}
    assert %{store: __MODULE__.Durable, dir: ^dir, error: %{code: :log_refused}} = refused
    Rhizome.stop(store)
  end

  @tag :capture_log
  @tag :tmp_dir
  test "a start that fails says why", %{tmp_dir: tmp_dir} do
    Process.flag(:trap_exit, true)
    dir = Path.join(tmp_dir, "store")
    executable = script(tmp_dir, "exit 75")

    {:error, error} =
      Rhizome.start_link(name: __MODULE__.Failing, executable: executable, dir: dir)

    assert_received {:event, [:rhizome, :daemon, :start_failed], %{system_time: _, wait: 0}, meta}
    assert meta == %{store: __MODULE__.Failing, dir: dir, error: error}
  end

  @tag :tmp_dir
  test "a long recovery tells how far it is", %{tmp_dir: tmp_dir} do
    frames = [
      [{:recovering, %{done: 1, total: 3}}, {:recovering, %{done: 2, total: 3}}],
      [{:hello, hello(%{recovered: :none})}]
    ]

    executable = saying(tmp_dir, Enum.map(frames, &frame/1))
    {:ok, store} = Rhizome.start_link(executable: executable, dir: Path.join(tmp_dir, "store"))

    for n <- 1..2 do
      assert_received {:event, [:rhizome, :recovery, :progress], %{bytes: ^n, total_bytes: 3},
                       %{store: ^store}}
    end

    Rhizome.stop(store)
  end

  defp die(store) do
    Process.flag(:trap_exit, true)
    signal(daemon(store), "KILL")
    assert_receive {:EXIT, ^store, {:daemon_exit, _reason}}
  end

  defp garbage(path, at) do
    {:ok, file} = :file.open(path, [:read, :write, :raw, :binary])
    :ok = :file.pwrite(file, at, "garbage")
    :ok = :file.close(file)
  end

  test "a request that raises" do
    assert_raise RuntimeError, fn ->
      Rhizome.Telemetry.request(S, {:ping}, 1, fn -> raise "oops" end)
    end

    assert_received {:event, [:rhizome, :request, :exception], _, %{kind: :error, table: nil}}
  end
end
