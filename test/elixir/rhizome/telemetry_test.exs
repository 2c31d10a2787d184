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

  test "a request that raises" do
    assert_raise RuntimeError, fn ->
      Rhizome.Telemetry.request(S, {:ping}, 1, fn -> raise "oops" end)
    end

    assert_received {:event, [:rhizome, :request, :exception], _, %{kind: :error, table: nil}}
  end
end
