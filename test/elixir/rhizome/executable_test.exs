defmodule Rhizome.ExecutableTest do
  # The environment and the configuration are everybody's.
  use Rhizome.Case, async: false

  alias Rhizome.Executable

  @moduletag :tmp_dir

  setup do
    environment = System.get_env("RHIZOME_EXECUTABLE")

    on_exit(fn ->
      Application.delete_env(:rhizome, :executable)
      if environment, do: System.put_env("RHIZOME_EXECUTABLE", environment)
      unless environment, do: System.delete_env("RHIZOME_EXECUTABLE")
    end)

    System.delete_env("RHIZOME_EXECUTABLE")
  end

  test "the option comes first, then the environment, the configuration, priv", context do
    [option, environment, configuration] = for _n <- 1..3, do: script(context.tmp_dir, "exit 0")
    assert Executable.find(nil) == {:ok, Application.app_dir(:rhizome, "priv/rhizome")}
    Application.put_env(:rhizome, :executable, configuration)
    assert Executable.find(nil) == {:ok, configuration}
    System.put_env("RHIZOME_EXECUTABLE", environment)
    assert Executable.find(nil) == {:ok, environment}
    assert Executable.find(option) == {:ok, option}
    System.put_env("RHIZOME_EXECUTABLE", "")
    assert Executable.find(nil) == {:ok, configuration}
  end

  test "an error says who named the file that is not there" do
    System.put_env("RHIZOME_EXECUTABLE", "/no/such/file")
    assert {:error, %{code: :start_failed} = error} = Executable.find(nil)
    assert error.message =~ "RHIZOME_EXECUTABLE names /no/such/file"
  end
end
